"""Mistakes of form do not hide those of meaning: one pass finds both, and tells no consequence as a mistake of its own."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from harness.errors import ScenarioError
from harness.faults.registry import actions
from harness.scenario.load import Loaded, load_text

FILE = Path("x.yaml")


def loaded(text: str) -> Loaded:
    return load_text(dedent(text).lstrip("\n"), FILE, actions())


def mistakes(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        loaded(text)
    return [str(problem).removeprefix(f"{FILE}:") for problem in caught.value.problems]


def test_every_kind_of_mistake_of_a_file_is_found_in_one_pass() -> None:
    found = mistakes(
        """
        nam: x
        seed: -1
        publishers: {mesages: ten, to: nowhere}
        workers: {prefetch: many, queue: nix}
        queues: {a: {type: quorum, durable: false}, b: {max_length: -1, dead_letter: zz}}
        timeline:
          - {at: 1s, kill: {worker: worker-7}, back_after: 3s}
          - {at: 1s}
          - {after: {}, kill: broker}
          - {at: 1s, kill: {broker: 7}}
        expect: {"outage.publishers": "< 20s", lost: many, processed_by: {wrker: 7}}
        broker: {config: {listeners.tcp.default: 5}, permit: [a b], plugins: ["x!"]}
        controls:
          a: {set: {publishers.persistnt: false}, expect: {lost: x}}
          b: {set: {}, expect: {}}
        """
    )
    assert [":".join(line.split(":")[:3]) for line in found] == [
        "1:1: nam",
        "2:7: seed",
        "3:14: publishers.mesages",
        "3:23: publishers.mesages",
        "3:32: publishers.to",
        "4:21: workers.prefetch",
        "4:34: workers.queue",
        "5:13: queues.a",
        "5:61: queues.b.max_length",
        "5:78: queues.b.dead_letter",
        "7:29: timeline.0.kill.worker",
        "7:40: timeline.0.back_after",
        "8:5: timeline.1",
        "9:13: timeline.2.after",
        "10:29: timeline.3.kill.broker",
        "11:46: expect.lost",
        "11:67: expect.processed_by.wrker",
        "12:19: broker.config.listeners.tcp.default",
        "12:55: broker.permit.0",
        "12:71: broker.plugins.0",
        "14:13: controls.a.set.publishers.persistnt",
        "14:58: controls.a.expect.lost",
        "15:12: controls.b.set",
    ]


@pytest.mark.parametrize(
    ("text", "only"),
    [
        (
            "queues: {a: {durabel: true}}\nworkers: {queue: a}",
            ["2:14: queues.a.durabel: unknown key, did you mean durable?"],
        ),
        (
            "workers: {nam: slow}\nexpect: {processed_by: {slow: 1, slow-1: 1}}",
            ["2:11: workers.nam: unknown key, did you mean name?"],
        ),
        (
            "workers: {name: [slow]}\nexpect: {processed_by: {slow: 1, slow-1: 1}}",
            [
                "2:17: workers.name: must be a name of letters, digits, _ . and -, at most 64, beginning with a letter or digit, not a list"
            ],
        ),
        (
            "workers: {count: lots}\ntimeline: [{at: 1s, kill: worker-7}]",
            ["2:18: workers.count: must be a whole number, not 'lots'"],
        ),
        ("queues: [a]\nworkers: {queue: a}", ["2:9: queues: must be a mapping, not a list"]),
        (
            "workers: {}\ntimeline: [{at: 1s, scale: {to: many}}, {at: 2s, kill: worker-7}]",
            ["3:33: timeline.0.scale.to: must be a whole number, not 'many'"],
        ),
        (
            "timeline: [{at: 1s}, {at: 2s, kill: worker-7}]\nworkers: {}",
            [
                "2:12: timeline.0: a step has exactly one action (kill, stop, restart, pause, resume, scale, close, declare, publish, "
                "purge); this one has none",
                "2:37: timeline.1.kill: unknown worker 'worker-7', did you mean worker-1?",
            ],
        ),
        (
            "drain: {quiet: 2m, timeout: long}",
            ["2:29: drain.timeout: must be a duration such as 500ms, 2s or 1m, not 'long'"],
        ),
        (
            "bindings: [{queue: tasks}]\nexpect: {published: 7}",
            ["2:12: bindings.0.exchange: is missing; it is a text"],
        ),
    ],
)
def test_no_consequence_of_a_mistake_is_told(text: str, only: list[str]) -> None:
    assert mistakes(f"name: x\n{text}\npublishers: {{messages: 1}}\n") == only


def test_a_group_that_says_nothing_of_how_much_is_checked_for_all_else() -> None:
    assert mistakes("name: x\npublishers: {to: nowhere, rate: 0}\nexpect: {published: 7}") == [
        "2:13: publishers: say how much to publish: messages, tasks or duration",
        "2:18: publishers.to: unknown queue 'nowhere'; there is tasks",
        "2:33: publishers.rate: must be more than 0, not 0",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "timeline: [{at: 1s, kill: {worker: any}, back_after: 3s}]",
            "2:42: timeline.0.back_after: belongs inside kill, as in `kill: {back_after: …}`",
        ),
        (
            "timeline: [{at: 1s, pause: worker, for: 3s}]",
            "2:36: timeline.0.for: belongs inside pause, as in `pause: {for: …}`",
        ),
        ("lost: 0", "2:1: lost: belongs inside expect, as in `expect: {lost: …}`"),
        ("prefetch: 5", "2:1: prefetch: belongs inside workers, as in `workers: {prefetch: …}`"),
        (
            "expect: {outag.publishers: < 20s}",
            "2:10: expect.outag.publishers: unknown key, did you mean outage.publishers?",
        ),
        (
            "expect: {outage: {workers: < 9s}, outage.workers: < 20s}",
            "2:35: expect.outage.workers: is given twice: outage says something of it as well",
        ),
    ],
)
def test_a_key_in_the_wrong_place_is_told_where_it_belongs(text: str, told: str) -> None:
    assert mistakes(
        f"name: x\n{text}\npublishers: {{messages: 1}}\nworkers: {{}}\n"
        if "prefetch" not in text
        else f"name: x\n{text}\npublishers: {{messages: 1}}\n"
    ) == [told]


def test_an_expectation_may_be_written_by_the_path_that_results_name_it_by() -> None:
    one = loaded(
        """
        name: x
        publishers: {messages: 1}
        workers: {}
        expect: {outage.publishers: < 20s, latency.confirm.p99: < 1s, processed_by.worker-1: 1, lost_at.broker: 0}
        controls:
          automatic: {set: {workers.acks: automatic}, expect: {outage.workers: < 9s}}
        """
    )
    other = loaded(
        """
        name: x
        publishers: {messages: 1}
        workers: {}
        expect: {outage: {publishers: < 20s}, latency: {confirm: {p99: < 1s}}, processed_by: {worker-1: 1}, lost_at: {broker: 0}}
        controls:
          automatic: {set: {workers.acks: automatic}, expect: {outage: {workers: < 9s}}}
        """
    )
    assert one.scenario == other.scenario
    assert [variant.expect for variant in one.variants()] == [variant.expect for variant in other.variants()]
    assert one.line_of("expect.outage.publishers") == 4
    assert one.line_of("controls.automatic.expect.outage.workers") == 6


def test_a_mistake_in_a_dotted_expectation_is_told_at_its_place() -> None:
    assert mistakes("name: x\npublishers: {messages: 1}\nexpect:\n  lost: 0\n  outage.publishers: soon\n") == [
        "5:22: expect.outage.publishers: must be a comparison with a duration, such as \"< 500ms\" or 1s..2s, not 'soon'"
    ]


def test_a_binding_to_a_queue_that_is_misspelt_is_one_mistake() -> None:
    found = mistakes(
        """
        name: x
        queues: {tsksa: {}}
        exchanges: {orders: {type: direct}}
        bindings: [{exchange: orders, routing_key: new, queue: tasks}]
        publishers: {messages: 1000, exchange: orders, routing_key: new}
        workers: {prefetch: 20, fails: {every: 2, by: reject}}
        timeline: [{after: {processed: 100}, kill: {worker: any}}]
        expect: {processed: 1000}
        """
    )
    assert [line.partition(" ")[0] for line in found] == ["4:56:"]
