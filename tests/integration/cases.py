"""Scenarios whose true result is known, with that result: each kind as a person met it, and others of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.verdict.data import Fate, Outcome

Range = tuple[int, int]
"""At least and at most."""

ACCUSES: Final = ("fault of the broker", "no fault of this run")
"""What must never be said of a healthy broker."""


@dataclass(frozen=True, slots=True)
class Want:
    """What is true of one variant. A fate that is not named must be 0, but for those that the publisher knows of."""

    outcome: Outcome | None
    """None where several are right."""
    fates: Mapping[Fate, int | Range]
    causes: tuple[tuple[str, str], ...] = ()
    """Places, with a part of the setting that would have kept what was lost there."""
    says: tuple[str, ...] = ()
    """Parts of the headline, the reasons or the sentences of causes."""
    figures: Mapping[str, int | Range] = field(default_factory=dict)
    """Of the verdict's counts."""


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario and the truth."""

    kind: str
    what: str
    text: str
    guarantee: Want
    controls: Mapping[str, Want] = field(default_factory=dict)
    run: Outcome | None = None
    """Of the whole run; that of the guarantee if not given."""
    policy: Mapping[str, str] = field(default_factory=dict)
    """Definitions set beforehand, as JSON, by queue."""
    taken_by_others: tuple[str, ...] = ()
    """Queues that another program consumes from."""
    own_broker: bool = False
    """Whether it needs a broker of its own: a cluster, or settings of its own."""
    since: str = ""
    """The first version of RabbitMQ that knows what it needs."""
    before: str = ""
    """The first version of RabbitMQ for which something else is true."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


GREEN, RED, OPEN = Outcome.AS_EXPECTED, Outcome.VIOLATED, Outcome.INCONCLUSIVE
DONE, LOST, DROPPED, EXPIRED, DEAD = Fate.PROCESSED, Fate.LOST, Fate.DROPPED, Fate.EXPIRED, Fate.DEAD_LETTERED
REMOVED, RETAINED = Fate.REMOVED, Fate.RETAINED
MANY = 1 << 40

HOME_NODE_DOWN: Final = """
broker: {nodes: 3}
queues:
  tasks: {type: classic}
publishers: {count: 2, messages: 1500, rate: 300, confirms: {window: 100}}
workers: {count: 2, acks: manual, prefetch: 20, work: 1ms}
expect: {lost: 0}
timeline:
  - after: {processed: 300}
    kill: {broker: 0, back_after: 2s}
"""

LIMITS = (
    Case(
        "length limit",
        "drop-head of a slow worker's queue",
        """
queues: {tasks: {max_length: 100}}
publishers: {messages: 1000, confirms: true}
workers: {count: 1, prefetch: 1, work: 2ms}
""",
        Want(RED, {DONE: (101, 999), DROPPED: (1, 899)}, says=("length limit of tasks",)),
    ),
    Case(
        "length limit",
        "of a quorum queue, by an argument, with a backlog",
        """
queues: {jobs: {arguments: {x-queue-type: quorum, x-max-length: 40}}}
backlog_first: true
publishers: {messages: 300, confirms: true}
workers: {count: 2, prefetch: 5}
""",
        Want(RED, {DONE: 40, DROPPED: 260}, says=("length limit of jobs",)),
    ),
    Case(
        "length limit",
        "stated",
        """
queues: {tasks: {max_length: 100}}
backlog_first: true
publishers: {messages: 500, confirms: true}
workers: {count: 1}
expect: {dropped: 400}
""",
        Want(GREEN, {DONE: 100, DROPPED: 400}),
    ),
    Case(
        "length limit",
        "of one queue of a fan-out",
        """
queues: {a: {}, b: {max_length: 30}}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}]
backlog_first: true
publishers: {messages: 200, exchange: ex, confirms: true}
workers: [{name: wa, queue: a}, {name: wb, queue: b}]
""",
        Want(RED, {DONE: 230, DROPPED: 170}, says=("length limit of b",)),
    ),
    Case(
        "limit of a dead letter queue",
        "every tenth rejected",
        """
queues: {tasks: {dead_letter: dead}, dead: {max_length: 50}}
publishers: {count: 1, messages: 1500, confirms: {window: 50}}
workers: {count: 1, queue: tasks, acks: manual, prefetch: 20, fails: {every: 10, by: reject}}
expect: {lost: 0, dead_lettered: 50}
""",
        Want(RED, {DONE: 1350, DEAD: 50, DROPPED: 100}, says=("limit of dead",)),
    ),
    Case(
        "limit of a dead letter queue",
        "that expired messages come to",
        """
queues: {tasks: {message_ttl: 50ms, dead_letter: dead}, dead: {type: quorum, max_length: 20}}
publishers: {messages: 100, confirms: true, to: tasks}
expect: {dead_lettered: 20}
""",
        Want(RED, {DEAD: 20, DROPPED: 80}, says=("limit of dead",)),
    ),
    Case(
        "limit of a dead letter queue",
        "that refuses, and is dead-lettered to at most once",
        """
queues: {tasks: {dead_letter: dead}, dead: {max_length: 10, overflow: reject-publish}}
publishers: {messages: 100, confirms: true, to: tasks}
workers: {queue: tasks, fails: {every: 2, by: reject}}
expect: {dead_lettered: 10, dropped: 40}
""",
        Want(GREEN, {DONE: 50, DEAD: 10, DROPPED: 40}),
    ),
    Case(
        "policy from outside",
        "a length limit",
        """
queues: {tasks: {}}
backlog_first: true
publishers: {messages: 500, confirms: true}
workers: {count: 1}
""",
        Want(RED, {DONE: 50, DROPPED: 450}, says=("policy",)),
        policy={"tasks": '{"max-length":50}'},
    ),
    Case(
        "policy from outside",
        "a time to live",
        """
queues: {tasks: {}}
publishers: {messages: 200, confirms: true}
""",
        Want(RED, {EXPIRED: 200}, says=("policy",)),
        policy={"tasks": '{"message-ttl":100}'},
    ),
    Case(
        "policy from outside",
        "a dead letter target",
        """
queues: {tasks: {}, elsewhere: {}}
publishers: {messages: 100, confirms: true, to: tasks}
workers: {queue: tasks, fails: {every: 4, by: reject}}
""",
        Want(RED, {DONE: 75, DEAD: 25}, says=("25",)),
        policy={"tasks": '{"dead-letter-exchange":"","dead-letter-routing-key":"elsewhere"}'},
    ),
)

DEATHS = (
    Case(
        "dead letters by arguments",
        "every tenth rejected",
        """
queues:
  tasks: {arguments: {x-dead-letter-exchange: '', x-dead-letter-routing-key: dead}}
  dead: {}
publishers: {count: 1, messages: 1500, confirms: {window: 100}}
workers: {count: 1, queue: tasks, acks: manual, prefetch: 20, fails: {every: 10, by: reject}}
expect: {lost: 0, dead_lettered: 150}
""",
        Want(GREEN, {DONE: 1350, DEAD: 150}),
    ),
    Case(
        "dead letters by arguments",
        "a topic exchange and the message's own key",
        """
queues: {tasks: {arguments: {x-dead-letter-exchange: dlx}}, failed: {}}
exchanges: {dlx: {type: topic}}
bindings: [{exchange: dlx, queue: failed, routing_key: "t*.#"}, {exchange: dlx, queue: failed, routing_key: "#"}]
publishers: {messages: 60, confirms: true, to: tasks}
workers: {queue: tasks, fails: {every: 3, by: reject}}
expect: {dead_lettered: 20}
""",
        Want(GREEN, {DONE: 40, DEAD: 20}),
    ),
    Case(
        "dead letters by arguments",
        "a time to live and a consumer of the dead",
        """
queues:
  slow: {arguments: {x-message-ttl: 100, x-dead-letter-exchange: '', x-dead-letter-routing-key: late}}
  late: {}
publishers: {messages: 50, confirms: true, to: slow}
workers: {queue: late}
expect: {lost: 0}
""",
        Want(GREEN, {DONE: 50}),
    ),
    Case(
        "dead letter cycle",
        "two queues with times to live",
        """
queues: {a: {message_ttl: 200ms, dead_letter: b}, b: {message_ttl: 200ms, dead_letter: a}}
publishers: {messages: 400, to: a}
workers: [{name: wa, queue: a, count: 1, prefetch: 5, work: 3ms}]
expect: {lost: 0}
""",
        Want(RED, {DONE: (20, 150), DROPPED: (250, 380)}, says=("cycle",)),
    ),
    Case(
        "dead letter cycle",
        "a queue that dead-letters to itself",
        """
queues: {a: {message_ttl: 100ms, dead_letter: a}, tasks: {}}
publishers: {messages: 50, rate: 50, confirms: true, to: a}
expect: {lost: 0}
""",
        Want(RED, {DROPPED: (40, 50), DEAD: (0, 10)}, says=("cycle",)),
    ),
    Case(
        "dead letter cycle",
        "a delivery limit is no rejection",
        """
queues:
  tasks: {type: quorum, delivery_limit: 1, dead_letter: retry}
  retry: {message_ttl: 50ms, dead_letter: tasks}
publishers: {messages: 20, confirms: true, to: tasks}
workers: {queue: tasks, prefetch: 1, fails: {every: 2, by: requeue}}
expect: {lost: 0}
""",
        Want(RED, {DONE: 10, DROPPED: 10}, says=("cycle",)),
    ),
    Case(
        "delay queue",
        "longer than the silence that ends a drain",
        """
queues:
  tasks: {}
  parking: {message_ttl: 1250ms, dead_letter: tasks}
publishers: {count: 1, messages: 300, to: parking, confirms: {window: 300}}
workers: {count: 2, queue: tasks, acks: manual, prefetch: 20}
expect: {lost: 0}
""",
        Want(GREEN, {DONE: 300}),
    ),
    Case(
        "delay queue",
        "a retry loop",
        """
queues:
  tasks: {dead_letter: retry}
  retry: {message_ttl: 1500ms, dead_letter: tasks}
publishers: {messages: 60, confirms: true, to: tasks}
workers: {queue: tasks, prefetch: 5, fails: {every: 4, by: reject, first_delivery_only: true}}
expect: {lost: 0}
drain: {timeout: 4s}
""",
        Want(OPEN, {DONE: 45, Fate.IN_TRANSIT: (0, 15), Fate.STRANDED: (0, 15)}),
    ),
    Case(
        "delay queue",
        "behind a fan-out, two delays one after the other",
        """
queues:
  now: {}
  first: {type: quorum, message_ttl: 700ms, dead_letter: second}
  second: {message_ttl: 900ms, dead_letter: later}
  later: {}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: now}, {exchange: ex, queue: first}]
publishers: {messages: 100, exchange: ex, confirms: true}
workers: [{name: wn, queue: now}, {name: wl, queue: later}]
expect: {lost: 0}
""",
        Want(GREEN, {DONE: 200}),
    ),
    Case(
        "delay queue",
        "longer than the drain",
        """
queues: {tasks: {}, parking: {message_ttl: 60s, dead_letter: tasks}}
publishers: {messages: 40, to: parking, confirms: true}
workers: {queue: tasks}
drain: {timeout: 2s}
expect: {lost: 0}
""",
        Want(OPEN, {Fate.IN_TRANSIT: 40}),
    ),
    Case(
        "at least once",
        "into a full queue that refuses",
        """
queues:
  tasks: {type: quorum, dead_letter: dead, overflow: reject-publish, arguments: {x-dead-letter-strategy: at-least-once}}
  dead: {type: classic, max_length: 20, overflow: reject-publish}
publishers: {messages: 500, confirms: true, to: tasks}
workers: {count: 2, queue: tasks, acks: manual, prefetch: 5, work: 1ms, fails: {every: 5, by: reject}}
expect: {lost: 0, dead_lettered: 20}
""",
        Want(RED, {DONE: 400, DEAD: 20, RETAINED: 80}, says=("80",)),
    ),
    Case(
        "at least once",
        "what expires, by arguments alone",
        """
queues:
  tasks:
    arguments:
      x-queue-type: quorum
      x-overflow: reject-publish
      x-message-ttl: 100
      x-dead-letter-exchange: ''
      x-dead-letter-routing-key: dead
      x-dead-letter-strategy: at-least-once
  dead: {max_length: 5, overflow: reject-publish}
publishers: {messages: 30, confirms: true, to: tasks}
expect: {lost: 0, dead_lettered: 5, retained: 25}
""",
        Want(GREEN, {DEAD: 5, RETAINED: 25}),
    ),
    Case(
        "at least once",
        "with room for all",
        """
queues:
  tasks: {type: quorum, dead_letter: dead, overflow: reject-publish, arguments: {x-dead-letter-strategy: at-least-once}}
  dead: {max_length: 1000, overflow: reject-publish}
publishers: {messages: 100, confirms: true, to: tasks}
workers: {queue: tasks, fails: {every: 5, by: reject}}
expect: {lost: 0, dead_lettered: 20}
""",
        Want(GREEN, {DONE: 80, DEAD: 20}),
    ),
    Case(
        "fan-out, one queue dead-letters to the other",
        "every tenth rejected",
        """
queues: {a: {dead_letter: b}, b: {}}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}]
publishers: {count: 1, messages: 1000, exchange: ex, routing_key: k, confirms: {window: 50}}
workers: [{name: wa, queue: a, fails: {every: 10, by: reject}}, {name: wb, queue: b}]
expect: {lost: 0}
""",
        Want(GREEN, {DONE: 2000}, figures={"duplicates": 0, "unexplained_duplicates": 0, "published": 1000}),
    ),
    Case(
        "fan-out, one queue dead-letters to the other",
        "to each other",
        """
queues: {a: {type: quorum, dead_letter: b}, b: {type: quorum, dead_letter: a}}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}]
publishers: {messages: 300, exchange: ex, confirms: {window: 50}}
workers: [{name: wa, queue: a}, {name: wb, queue: b, fails: {every: 3, by: reject, first_delivery_only: true}}]
expect: {lost: 0, duplicates: 0}
""",
        Want(GREEN, {DONE: 600}, figures={"unexplained_duplicates": 0}),
    ),
    Case(
        "fan-out, one queue dead-letters to the other",
        "three queues share a target that has a worker",
        """
queues: {a: {dead_letter: late}, b: {dead_letter: late}, c: {dead_letter: late}, late: {}}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}, {exchange: ex, queue: c}]
publishers: {messages: 200, exchange: ex, confirms: true}
workers:
  - {name: wa, queue: a, fails: {every: 2, by: reject}}
  - {name: wb, queue: b, fails: {every: 2, by: reject}}
  - {name: wc, queue: c}
  - {name: wl, queue: late}
expect: {lost: 0, duplicates: 0}
""",
        Want(GREEN, {DONE: 600}, figures={"duplicates": 0}),
    ),
    Case(
        "fan-out, one queue dead-letters to the other",
        "and that death leads into two queues",
        """
queues: {a: {dead_letter: {exchange: split, routing_key: x}}, b: {}, c: {}}
exchanges: {ex: {type: fanout}, split: {type: fanout}}
bindings:
  - {exchange: ex, queue: a}
  - {exchange: ex, queue: b}
  - {exchange: split, queue: b}
  - {exchange: split, queue: c}
publishers: {messages: 200, exchange: ex, confirms: true}
workers: [{name: wa, queue: a, fails: {every: 4, by: reject}}, {name: wb, queue: b}]
expect: {lost: 0, duplicates: 0, dead_lettered: 50}
""",
        Want(GREEN, {DONE: 400, DEAD: 50}, figures={"duplicates": 0}),
    ),
    Case(
        "fan-out, a killed worker's copies",
        "of a queue that dead-letters to the other",
        """
queues: {a: {dead_letter: b}, b: {}}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}]
publishers: {count: 1, messages: 1000, exchange: ex, routing_key: k, confirms: {window: 50}}
workers: [{name: wa, queue: a, acks: automatic, work: 5ms}, {name: wb, queue: b}]
timeline:
  - after: {confirmed: 900}
    kill: {worker: wa-1, back_after: 300ms}
expect: {lost: ">= 1"}
""",
        Want(
            GREEN, {DONE: (1001, 1600), LOST: (400, 999)}, causes=(("worker", "workers.acks: manual"),), says=("wa-1",)
        ),
    ),
    Case(
        "fan-out, a killed worker's copies",
        "that share a dead letter target",
        """
queues: {a: {dead_letter: dead}, b: {dead_letter: dead}, dead: {}}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}]
publishers: {messages: 400, exchange: ex, confirms: {window: 50}}
workers: [{name: wa, queue: a, acks: early, prefetch: 0, work: 5ms}, {name: wb, queue: b}]
timeline:
  - after: {confirmed: 350}
    kill: {worker: wa-1, back_after: 300ms}
expect: {lost: ">= 1"}
""",
        Want(GREEN, {DONE: (401, 799), LOST: (1, 399)}, causes=(("worker", "workers.acks: manual"),)),
    ),
    Case(
        "fan-out, a killed worker's copies",
        "beside queues that lose nothing",
        """
queues: {a: {}, b: {type: quorum}, c: {}}
exchanges: {ex: {type: topic}}
bindings: [{exchange: ex, queue: a, routing_key: "#"}, {exchange: ex, queue: b, routing_key: "m.*"}, {exchange: ex, queue: c, routing_key: m.x}]
publishers: {messages: 300, exchange: ex, routing_key: m.x, confirms: {window: 50}}
workers:
  - {name: wa, queue: a}
  - {name: wb, queue: b, acks: automatic, work: 5ms}
  - {name: wc, queue: c}
timeline:
  - after: {confirmed: 250}
    kill: {worker: wb-1, back_after: 300ms}
expect: {lost: 0}
""",
        Want(RED, {DONE: (601, 899), LOST: (1, 299)}, causes=(("worker", "workers.acks: manual"),), says=("wb-1",)),
    ),
    Case(
        "rejected without a target",
        "every fifth",
        """
publishers: {messages: 500, confirms: true}
workers: {count: 2, prefetch: 10, work: 1ms, fails: {every: 5, by: reject}}
""",
        Want(RED, {DONE: 400, DROPPED: 100}, says=("reject",)),
    ),
    Case(
        "rejected without a target",
        "stated",
        """
queues: {jobs: {type: quorum}}
publishers: {messages: 100, confirms: true}
workers: {fails: {every: 5, by: reject}}
expect: {dropped: 20}
""",
        Want(GREEN, {DONE: 80, DROPPED: 20}),
    ),
    Case(
        "rejected without a target",
        "a target that leads nowhere",
        """
queues: {tasks: {dead_letter: {exchange: dlx, routing_key: x}}, dead: {}}
exchanges: {dlx: {type: direct}}
bindings: [{exchange: dlx, queue: dead, routing_key: y}]
publishers: {messages: 100, confirms: true, to: tasks}
workers: {queue: tasks, fails: {every: 5, by: reject}}
""",
        Want(RED, {DONE: 80, DROPPED: 20}, says=("dead letter target",)),
    ),
)

WORKERS = (
    Case(
        "a failing task that cannot be rejected",
        "automatic acks",
        """
queues: {tasks: {}}
publishers: {messages: 500, confirms: true}
workers: {count: 2, acks: automatic, work: 1ms, fails: {share: 0.02, by: reject}}
drain: {timeout: 10s}
expect: {lost: 0}
""",
        Want(RED, {DONE: (470, 499), LOST: (1, 30)}, causes=(("worker", "workers.acks: manual"),)),
    ),
    Case(
        "a failing task that cannot be rejected",
        "early acks on a quorum queue",
        """
queues: {tasks: {type: quorum}}
publishers: {messages: 100, confirms: true}
workers: {acks: early, fails: {every: 10, by: requeue}}
expect: {lost: 10}
""",
        Want(GREEN, {DONE: 90, LOST: 10}, causes=(("worker", "workers.acks: manual"),)),
    ),
    Case(
        "a failing task that cannot be rejected",
        "in one queue of a fan-out, with a dead letter target",
        """
queues: {a: {dead_letter: dead}, b: {dead_letter: dead}, dead: {}}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}]
publishers: {messages: 100, exchange: ex, confirms: true}
workers:
  - {name: wa, queue: a, acks: automatic, fails: {every: 10, by: reject}}
  - {name: wb, queue: b, fails: {every: 10, by: reject}}
expect: {dead_lettered: 10, lost: 0}
""",
        Want(RED, {DONE: 180, LOST: 10, DEAD: 10}, causes=(("worker", "workers.acks: manual"),)),
    ),
    Case(
        "pause of one that holds",
        "deliveries",
        """
publishers: {messages: 60, confirms: true}
workers: {count: 2, prefetch: 5, work: 100ms}
timeline:
  - after: {processed: 10}
    pause: {worker: holding deliveries, for: 1s}
""",
        Want(GREEN, {DONE: 60}),
    ),
    Case(
        "pause of one that holds",
        "unconfirmed messages",
        """
publishers: {count: 2, messages: 3000, confirms: {window: 50}}
workers: {count: 2}
timeline:
  - after: {confirmed: 500}
    pause: {publisher: holding unconfirmed, for: 500ms}
""",
        Want(GREEN, {DONE: 6000}),
    ),
    Case(
        "taken by another program",
        "everything",
        """
queues: {tasks: {}}
publishers: {messages: 500, rate: 500, confirms: true}
drain: {timeout: 20s}
""",
        Want(None, {REMOVED: (0, 500), Fate.STRANDED: 0}, says=("consumer",)),
        taken_by_others=("tasks",),
    ),
    Case(
        "taken by another program",
        "a share of it",
        """
queues: {tasks: {}}
publishers: {messages: 300, rate: 300, confirms: true}
workers: {count: 1, prefetch: 5}
drain: {timeout: 20s}
""",
        Want(None, {DONE: (1, 299), REMOVED: (0, 299), Fate.STRANDED: 0}, says=("consumer",)),
        taken_by_others=("tasks",),
    ),
    Case(
        "order over a requeue",
        "a single active consumer keeps it, unless it prefetches",
        """
queues: {tasks: {arguments: {x-single-active-consumer: true}}}
backlog_first: true
publishers: {messages: 600, confirms: true}
workers: {count: 3, prefetch: 1, work: 2ms, fails: {every: 25, by: requeue, first_delivery_only: true}}
timeline:
  - after: {processed: 200}
    kill: {worker: holding deliveries, back_after: 500ms}
expect: {lost: 0, order: true}
controls:
  prefetch 10:
    set: {workers.prefetch: 10}
    expect: {lost: 0, order: false}
  no single active consumer:
    set: {queues.tasks.arguments: {}}
    expect: {lost: 0, order: false}
""",
        Want(GREEN, {DONE: 600}, figures={"out_of_order": 0}),
        controls={
            "prefetch 10": Want(GREEN, {DONE: 600}, figures={"out_of_order": (1, 600)}),
            "no single active consumer": Want(GREEN, {DONE: 600}, figures={"out_of_order": (1, 600)}),
        },
    ),
    Case(
        "order over a requeue",
        "ignored where the scenario says so",
        """
backlog_first: true
publishers: {messages: 200, confirms: true}
workers: {count: 1, prefetch: 10, fails: {every: 20, by: requeue, first_delivery_only: true}}
expect: {order: {ignore: redelivered}}
controls:
  counted: {set: {workers.prefetch: 9}, expect: {order: false}}
""",
        Want(GREEN, {DONE: 200}),
        controls={"counted": Want(GREEN, {DONE: 200}, figures={"out_of_order": (1, 200)})},
    ),
    Case(
        "a control shows its own loss",
        "not that of another setting",
        """
queues: {mails: {}}
publishers: {count: 2, messages: 1500, rate: 1000, confirms: true}
workers: {count: 3, acks: automatic, work: 3ms}
timeline:
  - after: {processed: 300}
    kill: {worker: holding deliveries, back_after: 1s}
  - after: {processed: 900}
    restart: broker
expect:
  lost: 0
  latency: {completion: {p99: < 100ms}}
controls:
  transient messages: {set: {publishers.persistent: false}, expect: {lost: ">= 1"}}
""",
        Want(RED, {DONE: (900, 2999), LOST: (1, 2100)}, causes=(("worker", "workers.acks: manual"),)),
        controls={"transient messages": Want(None, {DONE: (900, 2999), LOST: (1, 2100)})},
    ),
    Case(
        "a control shows its own loss",
        "lost by the setting that it took away",
        """
publishers: {messages: 800, confirms: {window: 100}}
workers: {count: 1, prefetch: 10, work: 2ms}
timeline:
  - after: {confirmed: 700}
    restart: broker
expect: {lost: 0}
controls:
  transient messages: {set: {publishers.persistent: false}, expect: {lost: ">= 1"}}
""",
        Want(GREEN, {DONE: 800}),
        controls={
            "transient messages": Want(
                GREEN, {DONE: (1, 799), LOST: (1, 799)}, causes=(("broker", "publishers.persistent: true"),)
            )
        },
    ),
    Case(
        "a control shows its own loss",
        "not shown by what an unchanged worker loses",
        """
publishers: {messages: 300, confirms: true}
workers: {count: 1, acks: automatic, fails: {every: 10, by: reject}}
expect: {lost: 30}
controls:
  transient messages: {set: {publishers.persistent: false}, expect: {lost: ">= 1"}}
""",
        Want(GREEN, {DONE: 270, LOST: 30}, causes=(("worker", "workers.acks: manual"),)),
        controls={"transient messages": Want(RED, {DONE: 270, LOST: 30})},
        run=RED,
    ),
)

BROKERS = (
    Case(
        "queue that expires",
        "with the copies in it",
        """
queues:
  tasks: {}
  side: {arguments: {x-expires: 500}}
publishers: {count: 1, messages: 600, rate: 400, to: [tasks, side], confirms: {window: 100}}
workers: {count: 1, queue: tasks, acks: manual, prefetch: 5}
expect: {lost: 0}
""",
        Want(RED, {DONE: 300, REMOVED: 300}, says=("side", "expire")),
    ),
    Case(
        "queue that expires",
        "in a fan-out",
        """
queues: {a: {}, b: {arguments: {x-expires: 1500}}}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}]
publishers: {messages: 100, exchange: ex, confirms: true}
workers: {queue: a, prefetch: 1, work: 40ms}
expect: {removed: 100}
""",
        Want(GREEN, {DONE: 100, REMOVED: 100}),
    ),
    Case(
        "purged",
        "a backlog",
        """
publishers: {messages: 200, confirms: true}
timeline:
  - after: {confirmed: 200}
    purge: tasks
""",
        Want(RED, {REMOVED: 200}, says=("purge",)),
    ),
    Case(
        "purged",
        "a dead letter queue",
        """
queues: {tasks: {dead_letter: dead}, dead: {}}
publishers: {messages: 200, rate: 400, confirms: true, to: tasks}
workers: {queue: tasks, fails: {every: 2, by: reject}}
timeline:
  - after: {processed: 50}
    purge: dead
expect: {dead_lettered: ">= 1", removed: ">= 1"}
""",
        Want(GREEN, {DONE: 100, DEAD: (1, 99), REMOVED: (1, 99)}),
    ),
    Case(
        "given up by its publisher",
        "a killed broker",
        """
queues: {tasks: {}}
publishers: {count: 2, messages: 4000, rate: 2000, confirms: {window: 200}, unconfirmed: drop}
workers: {count: 2, prefetch: 50, work: 200us}
timeline:
  - after: {published: 3000}
    kill: {broker: any, back_after: 1s}
expect: {lost: 0}
""",
        Want(GREEN, {DONE: (6000, 8000)}, says=("never",)),
    ),
    Case(
        "given up by its publisher",
        "a full queue that refuses",
        """
queues: {tasks: {max_length: 50, overflow: reject-publish}}
backlog_first: true
publishers: {messages: 300, confirms: {window: 10}, unconfirmed: drop}
workers: {count: 1}
expect: {lost: 0, nacked: ">= 1"}
""",
        Want(GREEN, {DONE: (50, 80), Fate.NEVER_PROMISED: (220, 250)}, says=("nacked",)),
    ),
    Case(
        "given up by its publisher",
        "what came back",
        """
exchanges: {ex: {type: direct}}
bindings: [{exchange: ex, queue: tasks, routing_key: a}]
publishers:
  - {name: good, messages: 50, exchange: ex, routing_key: a, confirms: true, mandatory: true}
  - {name: bad, messages: 30, exchange: ex, routing_key: b, confirms: true, mandatory: true}
workers: {count: 1}
expect: {lost: 0}
""",
        Want(GREEN, {DONE: 50, Fate.NEVER_PROMISED: 30}, says=("30", "returned")),
    ),
    Case(
        "home node down",
        "of a classic queue",
        HOME_NODE_DOWN
        + """\
controls:
  mandatory: {set: {publishers.mandatory: true}, expect: {lost: 0, returned: ">= 1"}}
""",
        Want(RED, {DONE: (300, 2999), LOST: (1, 2700)}, causes=(("exchange", "quorum"),)),
        controls={"mandatory": Want(GREEN, {DONE: (300, 3000)}, figures={"returned": (1, 3000)})},
        own_broker=True,
        before="4.0",
    ),
    Case(
        "home node down",
        "of one queue of a fan-out",
        """
broker: {nodes: 3}
queues: {a: {type: classic}, b: {type: quorum}}
exchanges: {ex: {type: fanout}}
bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}]
publishers: {count: 2, messages: 900, rate: 300, exchange: ex, confirms: {window: 100}}
workers: [{name: wa, queue: a, prefetch: 20}, {name: wb, queue: b, prefetch: 20}]
expect: {lost: 0}
timeline:
  - after: {processed: 300}
    stop: {broker: 0, back_after: 2s}
""",
        Want(RED, {DONE: (1800, 3599), LOST: (1, 1800)}, causes=(("exchange", "quorum"),)),
        own_broker=True,
        before="4.0",
    ),
    Case(
        "home node down",
        "of a classic queue, from 4.0 on: the broker refuses what cannot be kept",
        HOME_NODE_DOWN,
        Want(GREEN, {DONE: 3000}),
        own_broker=True,
        since="4.0",
    ),
    Case(
        "consumer timeout",
        "prefetched longer than it",
        """
broker:
  config: {consumer_timeout: 20000}
publishers: {messages: 80, confirms: true}
workers: {count: 1, acks: manual, prefetch: 80, work: 1s}
time_limit: 200s
drain: {timeout: 120s}
expect: {lost: 0, duplicates: 0}
""",
        Want(
            RED,
            {DONE: 80},
            says=("406", "consumer_timeout"),
            figures={"duplicates": (1, 80), "unexplained_duplicates": 0},
        ),
        own_broker=True,
    ),
    Case(
        "consumer timeout",
        "of a quorum queue, by an argument, with two workers",
        """
queues: {tasks: {type: quorum, arguments: {x-consumer-timeout: 15000}}}
publishers: {messages: 140, confirms: true}
workers: {count: 2, acks: manual, prefetch: 70, work: 1s}
time_limit: 200s
drain: {timeout: 120s}
expect: {lost: 0, duplicates: ">= 1"}
""",
        Want(
            GREEN,
            {DONE: 140},
            says=("406",),
            figures={"duplicates": (1, 140), "unexplained_duplicates": 0},
        ),
        own_broker=True,
        since="3.12",
    ),
)

CASES = (*LIMITS, *DEATHS, *WORKERS, *BROKERS)
