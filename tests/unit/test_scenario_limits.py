"""Files that are too large, too deep or too odd are refused with a sentence, and none takes long."""

from __future__ import annotations

import os
import threading
import time
from itertools import product
from pathlib import Path

import pytest

from harness.cli import answer
from harness.errors import ExitCode, ScenarioError
from harness.faults.registry import actions
from harness.scenario.load import load, load_text
from harness.scenario.mistake import MOST_MISTAKES, nearest
from harness.scenario.routing import topic_matches
from harness.scenario.scenario import MOST_NAMES
from harness.scenario.schema import schema

pytestmark = pytest.mark.seconds

FILE = Path("x.yaml")
BASE = "name: x\npublishers: {messages: 1}\nworkers: {}\n"
BOUND_S = 30.0
"""Of a loaded machine; each takes a second or two."""


def problems(text: str) -> list[str]:
    began = time.monotonic()
    with pytest.raises(ScenarioError) as caught:
        load_text(text, FILE, actions())
    assert time.monotonic() - began < BOUND_S
    return [str(problem).removeprefix(f"{FILE}:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("settle: -" + "1" + "0" * 400, "4:9: settle: must be a duration such as 500ms, 2s or 1m, not -1"),
        ("settle: " + "1" * 400, "4:9: settle: must be a duration such as 500ms, 2s or 1m, not 1"),
        ("settle: " + "1" * 5000, "4:9: settle: '1"),
        ("settle: .inf", "4:9: settle: must be a finite number, not '.inf'"),
        ("settle: -.nan", "4:9: settle: must be a duration such as 500ms, 2s or 1m, not '-.nan'"),
        ("settle: 1e999", "4:9: settle: must be a finite number, not '1e999'"),
        *(
            (
                f"queues: {{a: {{arguments: {{{key}: 1{'0' * 400}}}}}}}",
                f"4:{28 + len(key)}: queues.a.arguments.{key}: must be a whole number",
            )
            for key in (
                "x-expires",
                "x-message-ttl",
                "x-consumer-timeout",
                "x-max-length",
                "x-max-length-bytes",
                "x-max-priority",
            )
        ),
        ("seed: -" + "1" * 400, "4:7: seed: must be at least 0, not -1"),
        ("expect: {lost: '" + "1," * 200_000 + "'}", "4:16: expect.lost: must be a count or a comparison"),
        ("expect: {lost: -" + "1" * 400 + "}", "4:16: expect.lost: must be a count or a comparison"),
    ],
)
def test_a_number_beyond_all_bounds_is_a_mistake_like_any_other(line: str, told: str) -> None:
    (found,) = problems(f"{BASE}{line}\n")
    assert found.startswith(told)
    assert len(found) < 200


@pytest.mark.parametrize(
    "text", ["[" * 3000, "a: {" * 3000, "- " * 3000, "".join(f"{' ' * n}a:\n" for n in range(300))]
)
def test_a_file_that_is_nested_too_deep_is_refused_at_once(text: str) -> None:
    (found,) = problems(text)
    assert found.endswith("is nested deeper than 40 levels")


@pytest.mark.parametrize(
    ("section", "most"),
    [
        ("timeline: [" + ", ".join("{at: 1s, kill: worker}" for _ in range(1001)) + "]", 1000),
        ("controls: {" + ", ".join(f"c{n}: {{set: {{client: fast}}, expect: {{}}}}" for n in range(101)) + "}", 100),
    ],
)
def test_more_of_something_than_a_run_can_have_is_refused(section: str, most: int) -> None:
    assert any(f"must not have more than {most} entries" in told for told in problems(BASE + section))


@pytest.mark.parametrize("section", ["queues", "exchanges"])
def test_a_scenario_may_have_twenty_thousand_queues_and_no_more(section: str) -> None:
    limits = schema(actions())["properties"][section]
    assert limits["maxProperties"] == MOST_NAMES == 20_000


def test_three_hundred_queues_are_right() -> None:
    queues = "".join(f"  queue-number-{number}: {{}}\n" for number in range(300))
    assert len(load_text(f"{BASE}queues:\n{queues}", FILE, actions()).scenario.queues) == 300


@pytest.mark.parametrize(
    "text",
    [
        BASE + "".join(f"ke{number}y: 1\n" for number in range(3000)),
        BASE + "timeline:\n" + "".join(f"  - {{att: {n}, kil: worker-{n}}}\n" for n in range(900)),
        f"name: x\nworkers: {{}}\npublishers: {{tasks: [a]}}\nexpect: {{dealt: [[{', '.join(f't{n}' for n in range(3000))}]]}}\n",
    ],
    ids=["keys", "steps", "tasks"],
)
def test_thousands_of_mistakes_are_told_in_bounded_time_and_not_all_of_them(text: str) -> None:
    told = problems(text)
    assert len(told) == MOST_MISTAKES + 1
    assert told[-1].endswith(f"no more than {MOST_MISTAKES} mistakes are told")


def test_aliases_that_would_grow_beyond_all_bounds_are_refused_as_anchors() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    assert all("anchors (&a" in told or "is missing" in told or "unknown key" in told for told in problems(bomb))


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/stdin"])
def test_a_device_is_no_scenario(name: str) -> None:
    with pytest.raises(ScenarioError):
        load(Path(name), actions())


def test_a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "x.yaml"
    os.mkfifo(pipe)
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(answer(["validate", str(pipe)])), daemon=True)
    thread.start()
    thread.join(BOUND_S)
    assert ended == [ExitCode.USAGE]
    assert capfd.readouterr().err == f"{pipe}: is empty; `chaos init` writes a scenario to start from\n"


def test_a_pipe_that_somebody_writes_to_is_a_scenario() -> None:
    read, write = os.pipe()

    def written() -> None:
        os.write(write, BASE.encode())
        os.close(write)

    threading.Timer(0.2, written).start()
    assert load(Path(f"/proc/self/fd/{read}"), actions()).scenario.name == "x"
    os.close(read)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load(file, actions()).scenario.name == "x"


@pytest.mark.parametrize("key", ["bindings: [{exchange: amq.topic, queue: tasks, routing_key: KEY}]"])
def test_a_routing_key_that_amqp_cannot_carry_is_a_mistake(key: str) -> None:
    assert problems(f"{BASE}{key.replace('KEY', 'x' * 256)}\n")[0].endswith(
        "bindings.0.routing_key: a routing key has at most 255 bytes"
    )


def test_the_nearest_of_very_many_names_is_found() -> None:
    names = [f"worker-{number}" for number in range(50_000)]
    assert nearest("worker-4999x", names) in {f"worker-4999{digit}" for digit in ("", *"0123456789")}


def test_no_topic_pattern_takes_long() -> None:
    assert topic_matches(".".join(["#", "a"] * 60), ".".join("a" * 120))
    assert not topic_matches(".".join(["#", "a"] * 60 + ["b"]), ".".join("a" * 300))


def _matches(pattern: tuple[str, ...], key: tuple[str, ...]) -> bool:
    """Say it as RabbitMQ's guide does: the slow and plain way."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(_matches(pattern[1:], key[taken:]) for taken in range(len(key) + 1))
    return bool(key) and pattern[0] in ("*", key[0]) and _matches(pattern[1:], key[1:])


def test_topics_match_as_the_guide_says() -> None:
    for length, words in product(range(4), range(4)):
        for pattern, key in product(product("ab*#", repeat=length), product("ab", repeat=words)):
            assert topic_matches(".".join(pattern), ".".join(key)) == _matches(pattern, key)
