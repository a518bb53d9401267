"""What `chaos init` writes: a scenario to start from, valid as it is, with the words that are asked for most."""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = """\
# A scenario of the chaos harness. Check it with `chaos validate`, see what it would do with `chaos plan`,
# run it with `chaos run`. `chaos schema` prints the whole language, for editors to complete and check:
# save it as scenario.schema.json beside this file and write in the first line
#   yaml-language-server: $schema=scenario.schema.json

name: my first scenario
description: >
  A worker is killed at its work. With manual acks its deliveries go to another worker, and nothing is lost.

# Where the broker runs: auto (a container where there is a Docker engine, else a native node), container, native,
# compose or external. Left out, it is auto.
# broker: {backend: auto, image: "rabbitmq:4-management"}

# Queues by name; classic or quorum. Without this section there is one durable classic queue called tasks.
queues:
  tasks: {type: classic, durable: true}
  # orders: {type: quorum, delivery_limit: 3, dead_letter: rejected}
  # rejected: {type: quorum}

# Each publisher is a process of its own. One group, or a list of groups with names.
publishers:
  count: 2
  messages: 2000             # each; or `duration: 10s`, or `tasks: [First message., Second message..]`
  rate: 1000                 # most messages a second, each; left out: as fast as the broker takes them
  persistent: true           # the messages survive a restart of the broker, in a durable queue
  confirms: {window: 200}    # false: what is on its way at a failure is lost, and nobody learns of it
  unconfirmed: republish     # or drop

# Each worker is a process of its own, too.
workers:
  count: 3
  acks: manual               # after the work; automatic: by the broker on sending; early: before the work
  prefetch: 20               # most deliveries that a worker holds; 0 is unlimited
  work: 2ms                  # how long a task takes; or {random: [1ms, 5ms]}, or {per_dot: 100ms}
  # fails: {text: poison, by: crash}    # or by: reject, requeue

# What happens meanwhile. A step strikes `at` a time or `after` some progress, which is the same moment on a slow and on
# a fast machine: published, confirmed, delivered, processed, acked, backlog, in flight.
timeline:
  - after: {processed: 1000}
    kill: {worker: holding deliveries, back_after: 500ms}
  # - {after: {confirmed: 2000, backlog: 100}, restart: broker}
  # - {after: {processed: 1500}, pause: {worker: any, for: 2s}}
  # - {at: 3s, scale: {to: 6}}
  # - {at: 4s, close: connections}

# What must be seen at the end. What is not said: nothing lost, nothing invented, nothing corrupt, nothing done twice
# without an explanation, nothing left in a queue.
expect:
  lost: 0
  redelivered: ">= 1"
  # duplicates: "<= 50"
  # recovery: "< 5s"
  # fairness: "<= 1.5"

# The same scenario with a setting taken away, and what that must show: a check that never fails proves nothing.
controls:
  automatic acks:
    set: {workers.acks: automatic}
    expect: {lost: ">= 1"}
"""
