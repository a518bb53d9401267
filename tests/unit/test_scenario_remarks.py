"""What is said of a scenario that is right: fates that it can produce and does not speak of, with their places."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.faults.registry import actions
from harness.scenario.load import load_text

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def remarks(text: str) -> list[str]:
    loaded = load_text(dedent(text).lstrip("\n"), Path("x.yaml"), actions())
    return [str(remark).removeprefix("x.yaml:") for remark in loaded.remarks]


def violated(key: str) -> str:
    return f'expect says nothing of {key}, so more than 0 is a violation: `{key}: ">= 0"` allows any number'


CASES: dict[str, tuple[str, list[str]]] = {
    "a full queue": (
        """
        name: x
        queues: {tasks: {max_length: 100}}
        publishers: {messages: 101}
        """,
        [
            "2:30: warning: queues.tasks.max_length: tasks can hold fewer messages than come to it, and it has no dead letter "
            "target; " + violated("dropped"),
        ],
    ),
    "a queue that has room for all": (
        """
        name: x
        queues: {tasks: {max_length: 100}}
        publishers: {messages: 50, count: 2}
        """,
        [],
    ),
    "a limit of bytes among the arguments": (
        """
        name: x
        queues: {tasks: {arguments: {x-max-length-bytes: 1000}}}
        publishers: {messages: 50}
        """,
        [
            "2:50: warning: queues.tasks.arguments.x-max-length-bytes: tasks can hold fewer messages than come to it, and it has "
            "no dead letter target; " + violated("dropped"),
        ],
    ),
    "a full queue that refuses": (
        """
        name: x
        queues: {tasks: {max_length: 100, overflow: reject-publish}}
        publishers:
          - {name: careful, messages: 200}
          - {name: careless, messages: 200, confirms: false}
        """,
        [
            "2:30: warning: queues.tasks.max_length: tasks refuses messages when it is full, and careless publishes without "
            "confirms; " + violated("dropped"),
        ],
    ),
    "a time to live": (
        """
        name: x
        queues: {tasks: {message_ttl: 1s}}
        publishers: {messages: 50}
        """,
        [
            "2:31: warning: queues.tasks.message_ttl: messages expire in tasks, and it has no dead letter target; "
            + violated("expired"),
        ],
    ),
    "dead letters that come to rest": (
        """
        name: x
        queues: {tasks: {message_ttl: 1s, arguments: {x-dead-letter-exchange: "", x-dead-letter-routing-key: dead}}, dead: {}}
        publishers: {messages: 50}
        """,
        [
            "2:71: warning: queues.tasks.arguments.x-dead-letter-exchange: messages expire in tasks and come to rest in dead; "
            + violated("dead_lettered"),
        ],
    ),
    "a dead letter queue that nothing dies into": (
        """
        name: x
        queues: {tasks: {dead_letter: dead}, dead: {}}
        publishers: {messages: 50}
        """,
        [],
    ),
    "a parking queue": (
        """
        name: x
        queues: {parked: {rests: true}}
        publishers: {messages: 50}
        """,
        ["2:26: warning: queues.parked.rests: messages come to rest in parked; " + violated("dead_lettered")],
    ),
    "rejected without a target": (
        """
        name: x
        publishers: {messages: 50}
        workers: {fails: {every: 5, by: reject}}
        """,
        [
            "3:18: warning: workers.fails: messages of tasks are rejected, and it has no dead letter target; "
            + violated("dropped"),
        ],
    ),
    "rejected to where nothing is bound": (
        """
        name: x
        queues: {tasks: {dead_letter: {exchange: ex}}}
        exchanges: {ex: {}}
        publishers: {messages: 50}
        workers: {fails: {every: 5, by: reject}}
        """,
        [
            "5:18: warning: workers.fails: messages of tasks are rejected, and its dead letter target leads to no queue; "
            + violated("dropped"),
        ],
    ),
    "a delivery limit": (
        """
        name: x
        queues: {tasks: {type: quorum, delivery_limit: 2}}
        publishers: {messages: 50}
        workers: {fails: {every: 5, by: requeue}}
        """,
        [
            "2:48: warning: queues.tasks.delivery_limit: messages of tasks can reach its delivery limit, and it has no dead "
            "letter target; " + violated("dropped"),
        ],
    ),
    "the delivery limit that nobody set": (
        """
        name: x
        queues: {tasks: {type: quorum}}
        publishers: {messages: 50}
        workers: {fails: {every: 5, by: crash}}
        """,
        [
            "4:18: warning: workers.fails: messages of tasks can reach its delivery limit, and it has no dead letter target; "
            + violated("dropped"),
        ],
    ),
    "dead letters into a full queue": (
        """
        name: x
        queues:
          kept: {type: quorum, dead_letter: full, overflow: reject-publish, arguments: {x-dead-letter-strategy: at-least-once}}
          dropped: {dead_letter: full}
          full: {max_length: 20, overflow: reject-publish}
        publishers: {messages: 50, to: [kept, dropped]}
        workers: [{name: a, queue: kept, fails: {every: 5, by: reject}}, {name: b, queue: dropped, fails: {every: 5, by: reject}}]
        expect: {dead_lettered: ">= 1"}
        """,
        [
            "5:22: warning: queues.full.max_length: full refuses dead letters of dropped when it is full; "
            + violated("dropped"),
            "5:22: warning: queues.full.max_length: full refuses dead letters of kept when it is full; "
            + violated("retained"),
        ],
    ),
    "a cycle without a reject": (
        """
        name: x
        queues: {a: {message_ttl: 1s, dead_letter: b}, b: {message_ttl: 1s, dead_letter: a}}
        publishers: {messages: 50}
        workers: {queue: a}
        """,
        [
            f"2:{column}: warning: queues.{queue}.dead_letter: dead letters of {queue} come back to it with no reject on the way, and "
            "RabbitMQ drops what goes round like that; " + violated("dropped")
            for queue, column in (("a", 44), ("b", 82))
        ],
    ),
    "a retry loop": (
        """
        name: x
        queues: {tasks: {dead_letter: retry}, retry: {message_ttl: 1s, dead_letter: tasks}}
        publishers: {messages: 50}
        workers: {queue: tasks, fails: {every: 5, by: reject, first_delivery_only: true}}
        """,
        [],
    ),
    "a delay that is longer than the drain": (
        """
        name: x
        queues:
          tasks: {}
          short: {message_ttl: 20s, dead_letter: tasks}
          long: {message_ttl: 50s, dead_letter: short}
        publishers: {messages: 50, to: long}
        workers: {queue: tasks}
        """,
        [
            "5:23: warning: queues.long.message_ttl: messages of long come to a worker after 70 s, and the drain ends after 60 s; "
            'expect says nothing of in_transit, so the run is inconclusive with more than 0: `in_transit: ">= 0"` allows any number'
        ],
    ),
    "a queue that expires, and a purge": (
        """
        name: x
        queues: {tasks: {}, side: {arguments: {x-expires: 500}}}
        publishers: {messages: 50, to: [tasks, side]}
        workers: {queue: tasks}
        timeline: [{at: 1s, purge: tasks}]
        """,
        [
            "2:51: warning: queues.side.arguments.x-expires: side is deleted with what is in it when nobody has consumed from it "
            "for 500 ms; " + violated("removed"),
            "5:28: warning: timeline.0.purge: `purge tasks` takes what waits in tasks; " + violated("removed"),
        ],
    ),
    "given up": (
        """
        name: x
        publishers: {messages: 50, unconfirmed: drop}
        workers: {}
        timeline: [{after: {confirmed: 5}, kill: broker}]
        """,
        [
            "2:41: warning: publishers.unconfirmed: publisher gives up what is not confirmed when `kill broker` strikes; expect says "
            'nothing of never_promised: `never_promised: 0` refuses that, `never_promised: ">= 0"` allows any number'
        ],
    ),
    "failing after the ack": (
        """
        name: x
        publishers: {messages: 50}
        workers: {acks: automatic, fails: {every: 5, by: reject}}
        """,
        [
            "3:35: warning: workers.fails: the messages on which worker fails were acknowledged before; "
            + violated("lost"),
        ],
    ),
    "arguments that are not understood": (
        """
        name: x
        queues: {tasks: {arguments: {x-mine: 1}}}
        publishers: {messages: 50}
        """,
        [
            "2:30: warning: queues.tasks.arguments.x-mine: is not understood: the broker gets it, and what it does is not looked at",
        ],
    ),
    "a control's own fates": (
        """
        name: x
        queues: {tasks: {dead_letter: dead}, dead: {}}
        publishers: {messages: 50}
        workers: {queue: tasks, fails: {every: 5, by: reject}}
        expect: {dead_lettered: 10}
        controls:
          no target: {set: {queues.tasks.dead_letter: null}, expect: {dropped: 10}}
          a time to live: {set: {queues.dead.message_ttl: 1s}, expect: {dead_lettered: ">= 0"}}
        """,
        [
            "8:56: warning: controls.a time to live.expect: messages expire in dead, and it has no dead letter target; "
            + violated("expired"),
        ],
    ),
    "counts of copies": (
        """
        name: x
        queues: {a: {}, b: {}}
        exchanges: {ex: {type: fanout}}
        bindings: [{exchange: ex, queue: a}, {exchange: ex, queue: b}]
        publishers: {messages: 50, exchange: ex}
        workers: [{name: wa, queue: a}, {name: wb, queue: b}]
        expect: {lost: 0, processed: 100, published: 50}
        """,
        [
            "7:30: note: expect.processed: a message that is put in several queues counts once for each of them (processed)"
        ],
    ),
    "an order over redeliveries": (
        """
        name: x
        publishers: {messages: 50}
        workers: {fails: {every: 5, by: requeue, first_delivery_only: true}}
        expect: {order: false}
        """,
        [
            "4:17: note: expect.order: redelivered messages count: `order: {ignore: redelivered}` leaves them out, as earlier "
            "versions did"
        ],
    ),
}


@pytest.mark.parametrize(("text", "said"), CASES.values(), ids=CASES)
def test_what_a_scenario_can_produce_and_does_not_speak_of_is_warned_of(text: str, said: list[str]) -> None:
    assert remarks(text) == said


@pytest.mark.parametrize("key", ["dropped", "expired", "dead_lettered", "removed", "never_promised", "lost"])
def test_a_count_that_is_stated_is_not_warned_of(key: str) -> None:
    warned = [
        (text, said) for text, said in CASES.values() if any(f"expect says nothing of {key}" in line for line in said)
    ]
    assert warned
    for text, said in warned:
        if "expect:" not in text:
            stated = dedent(text) + f'expect: {{{key}: ">= 0"}}\n'
            assert remarks(stated) == [line for line in said if f"expect says nothing of {key}" not in line]


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_scenarios_speak_of_all_that_they_can_produce(path: Path) -> None:
    assert remarks(path.read_text(encoding="utf-8")) == []


def test_validate_prints_warnings_and_fails_on_them_only_when_it_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "full.yaml"
    path.write_text("name: x\nqueues: {tasks: {max_length: 5}}\npublishers: {messages: 9}\n", encoding="utf-8")
    plain, strict = (CliRunner().invoke(app, ["validate", *option, str(path)]) for option in ([], ["--strict"]))
    assert (plain.exit_code, strict.exit_code) == (0, 2)
    for result in (plain, strict):
        warning, summary = result.stderr.splitlines()
        assert warning.startswith(f"{path}:2:30: warning: queues.tasks.max_length: tasks can hold fewer messages")
        assert summary == f"{path}: x: valid, 0 controls, 1 warning"


def test_a_duration_without_a_unit_is_noted_where_it_stands() -> None:
    text = """
        name: x
        time_limit: 60
        settle: 0
        publishers: {messages: 5}
        workers:
          - {name: slow, work: 5}
          - {name: drawn, work: {random: [1ms, 2]}}
          - {name: clear, work: 5ms, back_after: null}
        timeline:
          - {at: 1.5, pause: {worker: any, for: 2}}
          - {after: {processed: 3}, kill: broker}
    """
    end = "; write the unit to be clear, as in"
    assert remarks(text) == [
        f"2:13: note: time_limit: 60 is taken as 60 s{end} 60s or 60ms",
        f"6:24: note: workers.0.work: 5 is taken as 5 s{end} 5s or 5ms",
        f"7:40: note: workers.1.work.random.1: 2 is taken as 2 s{end} 2s or 2ms",
        f"10:10: note: timeline.0.at: 1.5 is taken as 1.5 s{end} 1.5s or 1.5ms",
        f"10:41: note: timeline.0.pause.for: 2 is taken as 2 s{end} 2s or 2ms",
    ]


def test_a_single_group_is_looked_at_like_a_list_of_groups() -> None:
    (said,) = remarks("name: x\npublishers: {duration: 3}\nworkers: {}\n")
    assert said.startswith("2:24: note: publishers.duration: 3 is taken as 3 s")


def test_notes_are_no_warnings(tmp_path: Path) -> None:
    path = tmp_path / "order.yaml"
    path.write_text(dedent(CASES["an order over redeliveries"][0]), encoding="utf-8")
    result = CliRunner().invoke(app, ["validate", "--strict", str(path)])
    assert result.exit_code == 0
    assert "note: expect.order" in result.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "workers: {acks: automatic, ack_every: 5}",
            "2:39: warning: workers.ack_every: changes nothing: with automatic acks no worker acknowledges several deliveries at once",
        ),
        ("workers: {ack_every: 5}", None),
        (
            "timeline: [{at: 1s, resume: broker}, {at: 2s, pause: {broker: any, for: 1s}}]",
            "2:29: warning: timeline.0.resume: changes nothing: no step before it pauses anything",
        ),
        ("timeline: [{at: 1s, pause: broker}, {at: 2s, resume: broker}]", None),
    ],
)
def test_what_changes_nothing_is_warned_of(text: str, told: str | None) -> None:
    scenario = load_text(f"name: x\n{text}\npublishers: {{messages: 1}}\n", Path("x.yaml"), actions())
    found = [str(warning).removeprefix("x.yaml:") for warning in scenario.warnings if "changes nothing" in str(warning)]
    assert found == ([] if told is None else [told])
