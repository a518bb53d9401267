"""Scenarios with mistakes, and what must be said of them, word for word."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Case:
    """A scenario file, the problems in it (without the file's name), and whether the JSON Schema must refuse it too."""

    name: str
    text: str
    problems: tuple[str, ...]
    schema: bool = False


def _case(name: str, text: str, *problems: str, schema: bool = False) -> Case:
    return Case(name, dedent(text).lstrip("\n"), problems, schema)


MISTAKES: tuple[Case, ...] = (
    _case(
        "tab indents",
        "name: x\npublishers:\n\tmessages: 5\n",
        "3:1: a tab stands where YAML takes spaces only",
    ),
    _case(
        "unquoted comparison",
        """
        name: x
        publishers: {messages: 5}
        expect: {lost: >= 1}
        """,
        '3:16: a text that begins with > needs quotes, as in ">= 1"',
    ),
    _case(
        "unquoted comparison in a block",
        """
        name: x
        publishers: {messages: 5}
        expect:
          lost: >= 1
        """,
        '4:9: a text that begins with > needs quotes, as in ">= 1"',
    ),
    _case(
        "colon in a text",
        """
        name: x
        description: note: this
        publishers: {messages: 5}
        """,
        "2:18: a colon is out of place: quote a text that holds one, or check the indentation",
    ),
    _case(
        "bracket not closed",
        """
        name: x
        publishers: {tasks: [a, b}
        """,
        "2:26: the list in brackets begun in line 2 is not closed, or a comma is missing in it",
    ),
    _case(
        "brace not closed",
        """
        name: x
        publishers: {messages: 5
        workers: {count: 1}
        """,
        "3:8: the mapping in braces begun in line 2 is not closed, or a comma is missing in it",
    ),
    _case(
        "quote not closed",
        """
        name: x
        description: 'half
        publishers: {messages: 5}
        """,
        "4:1: the quote begun in line 2 is never closed",
    ),
    _case(
        "indentation",
        """
        name: x
        publishers:
            messages: 5
          count: 2
        """,
        "4:3: does not fit what stands above it: check the indentation and the quotes",
    ),
    _case(
        "two documents",
        """
        name: x
        publishers: {messages: 5}
        ---
        name: y
        """,
        "3:1: a file holds one scenario: remove what begins here",
    ),
    _case(
        "key twice",
        """
        name: x
        publishers: {messages: 5}
        name: y
        """,
        "3:1: name: is given twice; the first one is in line 1",
    ),
    _case(
        "anchor and alias",
        """
        name: x
        publishers: &one {messages: 5}
        workers: {queue: tasks}
        """,
        "2:13: publishers: anchors (&one) are not used here; write the value out where it is needed",
    ),
    _case(
        "alias of nothing",
        """
        name: x
        publishers: {messages: *five}
        """,
        "2:24: aliases (*name) are not used here; quote a text that begins with *",
    ),
    _case(
        "merge key",
        """
        name: x
        publishers: {<<: {count: 2}, messages: 5}
        """,
        "2:14: publishers: merge keys (<<) are not used here; write the keys out",
    ),
    _case(
        "tag",
        """
        name: x
        publishers: {messages: !!python/int 5}
        """,
        "2:24: publishers.messages: tags (!!python/int) are not used here; write the plain value",
    ),
    _case(
        "list at the top",
        """
        - name: x
        - publishers: 5
        """,
        "1:1: a scenario is a mapping, not a list",
        schema=True,
    ),
    _case(
        "not finite",
        """
        name: x
        publishers: {messages: 5, rate: .inf}
        """,
        "2:33: publishers.rate: must be a finite number, not '.inf'",
        schema=True,
    ),
    _case(
        "rates",
        """
        name: x
        publishers:
          - {name: a, messages: 5, rate: -1}
          - {name: b, messages: 5, rate: fast}
          - {name: c, messages: 5, rate: {catch_up: true}}
          - {name: d, messages: 5, rate: {per_second: 0}}
          - {name: e, messages: 5, rate: {per_second: 5, catchup: true}}
          - {name: f, messages: 5, rate: {per_second: 5, catch_up: yes}}
        """,
        "3:34: publishers.0.rate: must be more than 0, not -1",
        "4:34: publishers.1.rate: must be a number or a mapping with per_second, not 'fast'",
        "5:28: publishers.2.rate.per_second: is missing; it is a number",
        "6:47: publishers.3.rate.per_second: must be more than 0, not 0",
        "7:50: publishers.4.rate.catchup: unknown key, did you mean catch_up?",
        "8:60: publishers.5.rate.catch_up: must be true or false, not 'yes'; did you mean true?",
        schema=True,
    ),
    _case(
        "empty",
        "",
        "is empty; `chaos init` writes a scenario to start from",
        schema=True,
    ),
    _case(
        "only a comment",
        """
        # nothing yet
        """,
        "is empty; `chaos init` writes a scenario to start from",
        schema=True,
    ),
    _case(
        "missing sections",
        """
        description: x
        """,
        "1:1: name: is missing; it is a name of one line, at most 120 characters",
        "1:1: publishers: is missing",
        schema=True,
    ),
    _case(
        "unknown section",
        """
        name: x
        queus: {tasks: {}}
        publishers: {messages: 5}
        """,
        "2:1: queus: unknown key, did you mean queues?",
        schema=True,
    ),
    _case(
        "unknown key without a likely one",
        """
        name: x
        publishers: {messages: 5, colour: red}
        """,
        "2:27: publishers.colour: unknown key; there are name, count, messages, tasks, duration, rate, body, persistent, confirms, mandatory, unconfirmed, to and others",
        schema=True,
    ),
    _case(
        "several in one group",
        """
        name: x
        publishers: {count: two, mesages: 5, persistent: yes, body: 3 parsecs}
        """,
        "2:21: publishers.count: must be a whole number, not 'two'",
        "2:26: publishers.mesages: unknown key, did you mean messages?",
        "2:50: publishers.persistent: must be true or false, not 'yes'; did you mean true?",
        "2:61: publishers.body: must be a size such as 256B, 1KiB or 1MB, not '3 parsecs'",
        schema=True,
    ),
    _case(
        "group in a list",
        """
        name: x
        publishers:
          - {name: a, messages: 5}
          - {name: b, messages: 0}
        """,
        "4:25: publishers.1.messages: must be at least 1, not 0",
        schema=True,
    ),
    _case(
        "how much",
        """
        name: x
        publishers: {count: 2}
        """,
        "2:13: publishers: say how much to publish: messages, tasks or duration",
        schema=True,
    ),
    _case(
        "too many ways",
        """
        name: x
        publishers: {messages: 5, duration: 2s}
        """,
        "2:13: publishers: duration goes without messages and tasks",
        schema=True,
    ),
    _case(
        "a timeline to publish by that is not there",
        """
        name: x
        publishers: {duration: timeline}
        """,
        "2:24: publishers.duration: there is no timeline to go by",
    ),
    _case(
        "workers that wait for publishers that wait for workers",
        """
        name: x
        publishers: {duration: timeline}
        workers: {count: 1}
        backlog_first: true
        timeline: [{after: {processed: 10}, restart: broker}]
        """,
        "5:32: timeline.0.after.processed: is never reached: with backlog_first the workers begin after the publishers, "
        "and these go on until every step has struck",
    ),
    _case(
        "no publishers",
        """
        name: x
        publishers: []
        """,
        "2:13: publishers: must not be empty",
        schema=True,
    ),
    _case(
        "queue and exchange",
        """
        name: x
        publishers: {messages: 5, to: tasks, exchange: amq.direct}
        """,
        "2:13: publishers: give either `to` (a queue) or `exchange`, not both",
        schema=True,
    ),
    _case(
        "routing key alone",
        """
        name: x
        publishers: {messages: 5, routing_key: tasks}
        """,
        "2:13: publishers: routing_key goes with `exchange`; to send to a queue by its name, write `to`",
    ),
    _case(
        "type of queue",
        """
        name: x
        queues: {tasks: {type: quorom}}
        publishers: {messages: 5}
        """,
        "2:24: queues.tasks.type: must be classic or quorum, not 'quorom'; did you mean quorum?",
        schema=True,
    ),
    _case(
        "transient quorum queue",
        """
        name: x
        queues: {tasks: {type: quorum, durable: false}}
        publishers: {messages: 5}
        """,
        "2:17: queues.tasks: a quorum queue is always durable; make it classic, or leave durable out",
        schema=True,
    ),
    _case(
        "limit of a classic queue",
        """
        name: x
        queues: {tasks: {delivery_limit: 3}}
        publishers: {messages: 5}
        """,
        "2:17: queues.tasks: delivery_limit works on quorum queues only; set type: quorum",
        schema=True,
    ),
    _case(
        "arguments that differ from keys",
        """
        name: x
        queues:
          a: {type: classic, max_length: 5, arguments: {x-queue-type: quorum, x-max-length: 6}}
          b: {dead_letter: a, arguments: {x-dead-letter-exchange: amq.fanout, x-dead-letter-routing-key: a}}
          c: {message_ttl: 2s, overflow: drop-head, arguments: {x-message-ttl: 2000, x-overflow: reject-publish}}
          d: {type: quorum, delivery_limit: 3, arguments: {x-delivery-limit: 4}}
        publishers: {messages: 5}
        """,
        "3:63: queues.a.arguments.x-queue-type: differs from type; give one of them",
        "3:85: queues.a.arguments.x-max-length: differs from max_length; give one of them",
        "4:59: queues.b.arguments.x-dead-letter-exchange: differs from dead_letter; give one of them",
        "5:90: queues.c.arguments.x-overflow: differs from overflow; give one of them",
        "6:70: queues.d.arguments.x-delivery-limit: differs from delivery_limit; give one of them",
    ),
    _case(
        "arguments that the broker refuses",
        """
        name: x
        queues:
          a: {arguments: {x-queue-type: stream}}
          b: {arguments: {x-queue-type: qourum}}
          c: {arguments: {x-max-length: -1, x-message-ttl: 5s, x-expires: 0, x-max-priority: 256}}
          d: {arguments: {x-single-active-consumer: "true", x-overflow: reject, x-dead-letter-routing-key: a}}
          e: {arguments: {x-delivery-limit: 3, x-dead-letter-strategy: at-least-once}}
          f: {type: quorum, arguments: {x-max-priority: 3, x-queue-mode: lazy, x-max-length: 9999999999999999999}}
          g: {arguments: {x-else: 9999999999999999999}}
        exchanges: {ex: {arguments: {alternate-exchange: 5}}}
        publishers: {messages: 5}
        """,
        "3:33: queues.a.arguments.x-queue-type: a stream keeps its messages when they are acknowledged, so nothing of what is "
        "counted here holds for it; use classic or quorum",
        "4:33: queues.b.arguments.x-queue-type: must be classic or quorum, not 'qourum'",
        "5:33: queues.c.arguments.x-max-length: must be a whole number from 0, not -1",
        "5:52: queues.c.arguments.x-message-ttl: must be a whole number from 0, not '5s'",
        "5:67: queues.c.arguments.x-expires: must be a whole number from 1, not 0",
        "5:86: queues.c.arguments.x-max-priority: must be a whole number from 0 to 255, not 256",
        "6:45: queues.d.arguments.x-single-active-consumer: must be true or false, not 'true'",
        "6:65: queues.d.arguments.x-overflow: must be drop-head, reject-publish or reject-publish-dlx, not 'reject'",
        "6:100: queues.d.arguments.x-dead-letter-routing-key: goes with x-dead-letter-exchange, which is not given",
        "7:37: queues.e.arguments.x-delivery-limit: works on quorum queues only",
        "7:64: queues.e.arguments.x-dead-letter-strategy: works on quorum queues only",
        "8:49: queues.f.arguments.x-max-priority: works on classic queues only",
        "8:66: queues.f.arguments.x-queue-mode: works on classic queues only",
        "8:86: queues.f.arguments.x-max-length: must be a whole number from 0, not 9999999999999999999",
        "9:27: queues.g.arguments.x-else: does not fit into the 64 bits of an AMQP integer",
        "10:50: exchanges.ex.arguments.alternate-exchange: must be a text, not 5",
    ),
    _case(
        "fractions in arguments",
        """
        name: x
        queues: {tasks: {arguments: {x-max-length: 2.5}}}
        publishers: {messages: 5}
        """,
        "2:44: queues.tasks.arguments.x-max-length: must be a text, a whole number or true or false, not 2.5",
        schema=True,
    ),
    _case(
        "dead letters by the headers of a death",
        """
        name: x
        queues: {a: {dead_letter: {exchange: ex}}, dead: {}}
        exchanges: {ex: {type: headers}, other: {type: headers}}
        bindings:
          - {exchange: ex, queue: dead, arguments: {x-match: all-with-x, x-first-death-reason: rejected}}
          - {exchange: other, queue: dead, arguments: {x-match: all-with-x, x-kind: a}}
        publishers: {messages: 5}
        """,
        "5:54: bindings.0.arguments.x-match: asks for the headers that a death adds, by which dead letters are not followed; "
        "use an exchange of another type",
    ),
    _case(
        "targets among arguments",
        """
        name: x
        queues:
          a: {arguments: {x-dead-letter-exchange: dlx}}
          b: {arguments: {x-dead-letter-exchange: "", x-dead-letter-routing-key: ded}}
          c: {arguments: {x-dead-letter-exchange: ""}}
          d: {dead_letter: {exchange: dlx}, arguments: {x-dead-letter-routing-key: a}}
          e: {dead_letter: {exchange: ""}}
          dead: {}
        exchanges: {ex: {arguments: {alternate-exchange: spare}}}
        publishers: {messages: 5}
        """,
        "3:43: queues.a.arguments.x-dead-letter-exchange: unknown exchange 'dlx'; there are ex, amq.direct, amq.fanout, "
        "amq.headers, amq.match and amq.topic",
        "4:74: queues.b.arguments.x-dead-letter-routing-key: unknown queue 'ded', did you mean dead?",
        "5:43: queues.c.arguments.x-dead-letter-exchange: sends dead letters back to their own queue; name a queue, or an exchange",
        "6:31: queues.d.dead_letter.exchange: unknown exchange 'dlx'; there are ex, amq.direct, amq.fanout, amq.headers, "
        "amq.match and amq.topic",
        "7:20: queues.e.dead_letter: sends dead letters back to their own queue; name a queue, or an exchange",
        "9:50: exchanges.ex.arguments.alternate-exchange: unknown exchange 'spare'; there are ex, amq.direct, amq.fanout, "
        "amq.headers, amq.match and amq.topic",
    ),
    _case(
        "a parking queue that leads on",
        """
        name: x
        queues:
          tasks: {}
          a: {rests: true, dead_letter: tasks}
          b: {rests: true}
        publishers: {messages: 5}
        workers: {queue: b}
        """,
        "4:14: queues.a.rests: nothing leads out of a queue that rests; take its dead letter target away",
        "7:18: workers.queue: this queue rests: no worker consumes from it",
    ),
    _case(
        "an argument of a control",
        """
        name: x
        queues: {tasks: {max_length: 5}}
        publishers: {messages: 5}
        controls:
          a: {set: {queues.tasks.arguments: {x-max-length: 5}}, expect: {lost: 1}}
          b: {set: {queues.tasks.arguments.x-max-length: 6}, expect: {lost: 1}}
        """,
        "5:12: controls.a.set: takes nothing away: it sets what is so already",
        "6:50: controls.b.set.queues.tasks.arguments.x-max-length: differs from max_length; give one of them",
    ),
    _case(
        "non-durable queue",
        """
        name: x
        queues: {tasks: {durable: false}}
        publishers: {messages: 5}
        """,
        "2:27: queues.tasks.durable: RabbitMQ refuses non-durable queues from 4.3 on; say `broker: {permit: [transient_nonexcl_queues]}`, which older ones take as well",
    ),
    _case(
        "work",
        """
        name: x
        publishers: {messages: 5}
        workers: {work: quickly}
        """,
        "3:17: workers.work: must be a duration such as 500ms, 2s or 1m, dots, a mapping with per_dot or a mapping with random, not 'quickly'",
        schema=True,
    ),
    _case(
        "work per dots",
        """
        name: x
        publishers: {messages: 5}
        workers: {work: {per_dots: 2ms}}
        """,
        "3:18: workers.work.per_dots: unknown key, did you mean per_dot?",
        schema=True,
    ),
    _case(
        "random work",
        """
        name: x
        publishers: {messages: 5}
        workers: {work: {random: [5ms, 1ms]}}
        """,
        "3:17: workers.work: the first duration must not be the longer one",
    ),
    _case(
        "acks",
        """
        name: x
        publishers: {messages: 5}
        workers: {acks: manuel, prefetch: -1, ack_every: 100}
        """,
        "3:17: workers.acks: must be manual, automatic or early, not 'manuel'; did you mean manual?",
        "3:35: workers.prefetch: must be at least 0, not -1",
        schema=True,
    ),
    _case(
        "batches",
        """
        name: x
        publishers: {messages: 5}
        workers: {prefetch: 10, ack_every: 20}
        """,
        "3:10: workers: ack_every must not be greater than prefetch: the worker would wait for deliveries for ever",
    ),
    _case(
        "which fail",
        """
        name: x
        publishers: {messages: 5}
        workers: {fails: {by: crash}}
        """,
        "3:18: workers.fails: say which deliveries fail: text, every, share or attempts",
        schema=True,
    ),
    _case(
        "how they fail",
        """
        name: x
        publishers: {messages: 5}
        workers: {fails: {every: 3, by: burning}}
        """,
        "3:33: workers.fails.by: must be reject, requeue or crash, not 'burning'",
        schema=True,
    ),
    _case(
        "targets",
        """
        name: x
        publishers: {messages: 5}
        workers: {}
        timeline:
          - {at: 1s, kill: {worker: [worker-1]}}
          - {at: 1s, restart: {broker: evry}}
          - {at: 1s, kill: 5}
          - {at: 1s, stop: {worker: any, bak_after: 1s}}
          - {at: 1s, pause: {worker: any, for: long}}
          - {at: 1s, pause: {worker: holding unconfirmed, for: 1s}}
          - {at: 1s, resume: {publisher: holding deliveries}}
        """,
        "5:29: timeline.0.kill.worker: must be a whole number or a text, not a list",
        "6:32: timeline.1.restart.broker: must be a whole number or any or all, not 'evry'",
        "7:20: timeline.2.kill: must be a mapping (broker, worker, publisher, …), not 5",
        "8:34: timeline.3.stop.bak_after: unknown key, did you mean back_after?",
        "9:40: timeline.4.pause.for: must be a duration such as 500ms, 2s or 1m, not 'long'",
        "10:30: timeline.5.pause.worker: a worker is never holding unconfirmed; say worker: holding deliveries, or publisher: holding unconfirmed",
        "11:34: timeline.6.resume.publisher: a publisher is never holding deliveries; say publisher: holding unconfirmed, or worker: holding deliveries",
        schema=True,
    ),
    _case(
        "a value for a section",
        """
        name: x
        publishers: 5
        workers: [1]
        queues: [tasks]
        """,
        "2:13: publishers: must be a mapping (name, count, messages, …) or a list, not 5",
        "3:11: workers.0: must be a mapping (name, count, queue, …), not 1",
        "4:9: queues: must be a mapping, not a list",
        schema=True,
    ),
    _case(
        "unknown action",
        """
        name: x
        publishers: {messages: 5}
        workers: {}
        timeline:
          - {at: 1s, kil: worker-1}
        """,
        "5:14: timeline.0.kil: unknown action, did you mean kill?",
        schema=True,
    ),
    _case(
        "no action",
        """
        name: x
        publishers: {messages: 5}
        timeline: [{at: 1s}]
        """,
        "3:12: timeline.0: a step has exactly one action (kill, stop, restart, pause, resume, scale, close, declare, publish, purge); this one has none",
        schema=True,
    ),
    _case(
        "two actions",
        """
        name: x
        publishers: {messages: 5}
        timeline: [{at: 1s, kill: broker, restart: broker}]
        """,
        "3:12: timeline.0: a step has exactly one action (kill, stop, restart, pause, resume, scale, close, declare, publish, purge); this one has kill and restart",
        schema=True,
    ),
    _case(
        "no trigger",
        """
        name: x
        publishers: {messages: 5}
        timeline: [{kill: broker}]
        """,
        "3:12: timeline.0: a step has exactly one trigger: `at: 3s`, or `after: {confirmed: 2000}`",
        schema=True,
    ),
    _case(
        "trigger of nothing",
        """
        name: x
        publishers: {messages: 5}
        timeline: [{after: {}, kill: broker}]
        """,
        "3:20: timeline.0.after: name at least one of published, confirmed, delivered, processed, acked, backlog, in flight",
        schema=True,
    ),
    _case(
        "unknown progress",
        """
        name: x
        publishers: {messages: 5}
        timeline: [{after: {confirmd: 3}, kill: broker}]
        """,
        "3:21: timeline.0.after.confirmd: unknown key, did you mean confirmed?",
        schema=True,
    ),
    _case(
        "comparison",
        """
        name: x
        publishers: {messages: 5}
        expect: {lost: '=> 1', duplicates: 5..1, lost_at: {wroker: 1}}
        """,
        "3:16: expect.lost: must be a count or a comparison, such as 0, \">= 1\" or 1..5, not '=> 1'",
        "3:36: expect.duplicates: '5..1' is an empty range: its first figure is the greater one",
        "3:52: expect.lost_at.wroker: unknown key, did you mean worker?",
        schema=True,
    ),
    _case(
        "share without percent",
        """
        name: x
        publishers: {messages: 5}
        workers: {}
        expect: {shares: {worker: 0.5}}
        """,
        '4:27: expect.shares.worker: must be a share or a comparison, such as ">= 60%" or 40%..60%, not 0.5',
        schema=True,
    ),
    _case(
        "time without unit",
        """
        name: x
        publishers: {messages: 5}
        expect: {recovery: 5}
        """,
        '3:20: expect.recovery: must be a comparison with a duration, such as "< 500ms" or 1s..2s, not 5',
        schema=True,
    ),
    _case(
        "errors",
        """
        name: x
        publishers: {messages: 5}
        expect: {errors: {code: 4}}
        """,
        "3:25: expect.errors.code: must be at least 100, not 4",
        schema=True,
    ),
    _case(
        "control without expect",
        """
        name: x
        publishers: {messages: 5}
        controls: {c: {set: {publishers.persistent: false}}}
        """,
        "3:12: controls.c.expect: is missing",
        schema=True,
    ),
    _case(
        "control without settings",
        """
        name: x
        publishers: {messages: 5}
        controls: {c: {set: {}, expect: {lost: 1}}}
        """,
        "3:21: controls.c.set: must not be empty",
        schema=True,
    ),
    _case(
        "names of queues",
        """
        name: x
        queues: {orders: {dead_letter: rejectd}, rejected: {}}
        publishers: {messages: 5, to: [orders, ordes]}
        workers: {queue: odrers}
        exchanges: {in: {}}
        bindings: [{exchange: inn, queue: order}]
        """,
        "2:32: queues.orders.dead_letter: unknown queue 'rejectd', did you mean rejected?",
        "3:40: publishers.to.1: unknown queue 'ordes', did you mean orders?",
        "4:18: workers.queue: unknown queue 'odrers', did you mean orders?",
        "6:23: bindings.0.exchange: unknown exchange 'inn', did you mean in?",
        "6:35: bindings.0.queue: unknown queue 'order', did you mean orders?",
    ),
    _case(
        "names of exchanges",
        """
        name: x
        exchanges: {orders: {}, amq.mine: {}}
        publishers: {messages: 5, exchange: order}
        queues: {tasks: {dead_letter: {exchange: orders2}}, again: {dead_letter: {}}}
        """,
        "2:25: exchanges.amq.mine: names that begin with amq. are the broker's own",
        "3:37: publishers.exchange: unknown exchange 'order', did you mean orders?",
        "4:42: queues.tasks.dead_letter.exchange: unknown exchange 'orders2', did you mean orders?",
        "4:74: queues.again.dead_letter: sends dead letters back to their own queue; name a queue, or an exchange",
    ),
    _case(
        "names of groups",
        """
        name: x
        publishers: [{messages: 5}, {messages: 5}]
        workers: [{name: w}, {name: w-1}, {name: publisher}]
        """,
        "2:29: publishers.1.name: another group is called publisher already; give each group its own name",
        "3:29: workers.1.name: another group calls one of its own w-1; give the group another name",
        "3:42: workers.2.name: another group is called publisher already; give each group its own name",
    ),
    _case(
        "names of targets",
        """
        name: x
        publishers: {messages: 5, count: 2}
        workers: [{name: slow}, {name: fast, count: 2}]
        timeline:
          - {at: 1s, kill: slow-2}
          - {at: 1s, kill: {publisher: publisher-3}}
          - {at: 1s, kill: {worker: holding delivrys}}
          - {at: 1s, purge: task}
          - {at: 1s, scale: {workers: fats, to: 3}}
          - {at: 1s, scale: {workers: fast, to: 4}}
          - {at: 2s, kill: fast-4}
          - {at: 2s, kill: fast-5}
          - {at: 2s, stop: {worker: 9}}
          - {at: 3s, pause: {broker: 1, for: 1s}}
        """,
        "5:20: timeline.0.kill: unknown worker 'slow-2', did you mean slow-1?",
        "6:32: timeline.1.kill.publisher: unknown publisher 'publisher-3', did you mean publisher-2?",
        "7:29: timeline.2.kill.worker: unknown worker 'holding delivrys', did you mean holding deliveries?",
        "8:21: timeline.3.purge: unknown queue 'task', did you mean tasks?",
        "9:31: timeline.4.scale.workers: unknown worker group 'fats', did you mean fast?",
        "12:20: timeline.7.kill: unknown worker 'fast-5', did you mean fast-4?",
        "13:29: timeline.8.stop.worker: unknown worker 9; there are slow-1, fast-1, fast-2, fast-3 and fast-4",
        "14:30: timeline.9.pause.broker: unknown node '1'; there is 0",
    ),
    _case(
        "names in expectations",
        """
        name: x
        publishers: {tasks: [a, b]}
        workers: {count: 2}
        timeline: [{at: 1s, kill: worker-1}]
        expect:
          processed_by: {wroker: 2, worker-1: [a, c]}
          shares: {worker-9: 50%}
          faster_after: {scale: '>= 2'}
          dealt: [[a], [d]]
        """,
        "6:18: expect.processed_by.wroker: unknown worker 'wroker', did you mean worker?",
        "6:43: expect.processed_by.worker-1.1: unknown task 'c'; there are a and b",
        "7:12: expect.shares.worker-9: unknown worker 'worker-9', did you mean worker-2?",
        "8:18: expect.faster_after.scale: unknown action of the timeline 'scale'; there is kill",
        "9:17: expect.dealt.1.0: unknown task 'd'; there are a and b",
    ),
    _case(
        "never reached",
        """
        name: x
        publishers: {messages: 50, confirms: false}
        workers: {acks: automatic}
        timeline:
          - {after: {confirmed: 1}, kill: broker}
          - {after: {published: 51}, kill: broker}
          - {after: {acked: 1}, kill: broker}
          - {at: 10m, kill: broker}
        """,
        "5:25: timeline.0.after.confirmed: is never reached: confirms are off",
        "6:25: timeline.1.after.published: is never reached: 50 messages are published in all",
        "7:21: timeline.2.after.acked: is never reached: with automatic acks no worker acknowledges",
        "8:10: timeline.3.at: is never reached: time_limit is 5 min",
    ),
    _case(
        "never in flight",
        """
        name: x
        publishers: {messages: 50}
        workers: {count: 2, prefetch: 5}
        timeline: [{after: {in flight: 11}, kill: broker}]
        """,
        "4:32: timeline.0.after.in flight: is never reached: with their prefetch the workers hold 10 deliveries at most",
    ),
    _case(
        "no workers",
        """
        name: x
        publishers: {messages: 50}
        timeline: [{after: {processed: 5}, kill: broker}]
        expect: {fairness: '<= 2', processed: 5}
        """,
        "3:32: timeline.0.after.processed: is never reached: there are no workers",
        "4:20: expect.fairness: says something of two workers or more; there are not so many",
        "4:39: expect.processed: can never hold: there are no workers",
    ),
    _case(
        "never holds",
        """
        name: x
        publishers: {messages: 50, confirms: false}
        workers: {count: 2}
        expect: {confirmed: 50, returned: '>= 1', expired: 1, dead_lettered: 2, lost: '>= 51', nacked: 0, latency: {confirm: {p99: < 1s}, completion_due: {max: < 1s}}}
        """,
        "4:21: expect.confirmed: can never hold: publishers.confirms is off",
        "4:35: expect.returned: can never hold: publishers.mandatory is off",
        "4:52: expect.expired: can never hold: no queue has a message_ttl",
        "4:70: expect.dead_lettered: can never hold: nothing comes to rest in a queue without workers",
        "4:79: expect.lost: can never hold: 50 messages are published in all",
        "4:118: expect.latency.confirm: nothing is confirmed: publishers.confirms is off",
        "4:147: expect.latency.completion_due: nothing is due: no publishers have a rate",
    ),
    _case(
        "too slow to end",
        """
        name: x
        publishers: {messages: 5000, rate: 10}
        workers: {}
        """,
        "2:36: publishers.rate: publishing takes 8.33 min; time_limit is 5 min",
    ),
    _case(
        "drain",
        """
        name: x
        publishers: {messages: 5}
        workers: {}
        drain: {quiet: 5s, timeout: 1s}
        """,
        "4:16: drain.quiet: is longer than the drain's timeout (5 s against 1 s)",
    ),
    _case(
        "external without commands",
        """
        name: x
        broker: {backend: external, commands: {restart: systemctl restart rabbitmq-server}}
        publishers: {messages: 5}
        workers: {}
        timeline:
          - {at: 1s, restart: broker}
          - {at: 1s, kill: broker}
          - {at: 1s, pause: {broker: any, for: 1s}}
          - {at: 1s, close: connections}
        """,
        "7:20: timeline.1.kill: this broker has no way to kill; name the commands that do it under broker.commands",
        "8:21: timeline.2.pause: this broker has no way to pause; name the commands that do it under broker.commands",
        "9:21: timeline.3.close: this broker cannot be controlled (rabbitmqctl); run the scenario on another backend",
    ),
    _case(
        "unknown command",
        """
        name: x
        broker: {commands: {restrat: x}}
        publishers: {messages: 5}
        """,
        "2:21: broker.commands.restrat: unknown key, did you mean restart?",
        schema=True,
    ),
    _case(
        "permit",
        """
        name: x
        broker: {permit: [transient_nonexclusive_queues]}
        publishers: {messages: 5}
        """,
        "2:19: broker.permit.0: unknown deprecated feature, did you mean transient_nonexcl_queues?",
    ),
    _case(
        "settings that are not there",
        """
        name: x
        publishers: {messages: 5}
        workers: {name: slow}
        timeline: [{after: {published: 2}, kill: slow-1}]
        controls:
          a: {set: {publishers.persistant: false}, expect: {lost: 1}}
          b: {set: {queues.taks.durable: false}, expect: {lost: 1}}
          c: {set: {workers.slwo.prefetch: 1}, expect: {lost: 1}}
          d: {set: {timeline.3.kill: broker}, expect: {lost: 1}}
          e: {set: {expect.lost: 1}, expect: {lost: 1}}
          f: {set: {publishers.confirms.windw: 1}, expect: {lost: 1}}
          g: {set: {queus.tasks.durable: false}, expect: {lost: 1}}
        """,
        "6:13: controls.a.set.publishers.persistant: persistant is neither a setting nor the name of a group, did you mean persistent?",
        "7:13: controls.b.set.queues.taks.durable: there is no taks here, did you mean tasks?",
        "8:13: controls.c.set.workers.slwo.prefetch: slwo is neither a setting nor the name of a group, did you mean slow?",
        "9:13: controls.d.set.timeline.3.kill: there is no 3 here: there is 1 entry, counted from 0",
        "10:13: controls.e.set.expect.lost: a control cannot set expectations; a control has its own `expect`",
        "11:13: controls.f.set.publishers.confirms.windw: there is no windw here, did you mean window?",
        "12:13: controls.g.set.queus.tasks.durable: there is no queus here, did you mean queues?",
        schema=True,
    ),
    _case(
        "settings that do not fit",
        """
        name: x
        publishers: {messages: 5}
        workers: {}
        timeline: [{after: {confirmed: 2}, kill: worker-1}]
        controls:
          a: {set: {publishers.persistent: maybe}, expect: {lost: 1}}
          b: {set: {publishers.persistent: true}, expect: {lost: 1}}
          c: {set: {queues.tasks.durable: false}, expect: {lost: 1}}
          d: {set: {publishers.confirms: false}, expect: {lost: 1}}
          e: {set: {workers: []}, expect: {lost: 1, returned: 1}}
          f: {set: {publishers.duration: 1s}, expect: {lost: 1}}
        """,
        "6:36: controls.a.set.publishers.persistent: must be true or false, not 'maybe'",
        "7:12: controls.b.set: takes nothing away: it sets what is so already",
        "8:35: controls.c.set.queues.tasks.durable: RabbitMQ refuses non-durable queues from 4.3 on; say `broker: {permit: [transient_nonexcl_queues]}`, which older ones take as well",
        "9:12: controls.d.set: makes timeline.0.after.confirmed wrong: is never reached: confirms are off",
        "10:12: controls.e.set: makes timeline.0.kill.worker wrong: unknown worker 'worker-1'; there is none",
        "10:55: controls.e.expect.returned: can never hold: publishers.mandatory is off",
        "11:34: controls.f.set.publishers.duration: publishers.0: duration goes without messages and tasks",
    ),
    _case(
        "names of controls",
        """
        name: x
        publishers: {messages: 5}
        controls:
          Guarantee: {set: {publishers.persistent: false}, expect: {lost: 1}}
          no acks: {set: {publishers.persistent: false}, expect: {lost: 1}}
          no-acks: {set: {publishers.persistent: false}, expect: {lost: 1}}
        """,
        "4:3: controls.Guarantee: the scenario itself is called that; give the control another name",
        "6:3: controls.no-acks: no acks is called nearly that; give the control another name",
    ),
    _case(
        "all at once",
        """
        name: x
        queus:
          tasks: {type: quorom}
        publishers: {messages: 50, persistent: no, to: taks}
        workers: {name: slow, acks: manuel}
        timeline:
          - {after: {processd: 60}, kil: slow-2}
        expect: {lots: 0}
        controls:
          c: {set: {workers.slwo.acks: early}, expect: {lost: many}}
        """,
        "2:1: queus: unknown key, did you mean queues?",
        "3:17: queus.tasks.type: must be classic or quorum, not 'quorom'; did you mean quorum?",
        "4:40: publishers.persistent: must be true or false, not 'no'; did you mean false?",
        "4:48: publishers.to: unknown queue 'taks', did you mean tasks?",
        "5:29: workers.acks: must be manual, automatic or early, not 'manuel'; did you mean manual?",
        "7:14: timeline.0.after.processd: unknown key, did you mean processed?",
        "7:24: timeline.0.after.processd: is never reached: 50 messages are published in all",
        "7:29: timeline.0.kil: unknown action, did you mean kill?",
        "7:34: timeline.0.kil: unknown worker 'slow-2', did you mean slow-1?",
        "8:10: expect.lots: unknown key, did you mean lost?",
        "10:13: controls.c.set.workers.slwo.acks: slwo is neither a setting nor the name of a group, did you mean slow?",
        "10:55: controls.c.expect.lost: must be a count or a comparison, such as 0, \">= 1\" or 1..5, not 'many'",
        schema=True,
    ),
)
