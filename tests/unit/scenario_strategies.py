"""Valid scenarios, generated as the plain values that a file holds."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

names = st.from_regex(r"[a-z][a-z0-9_]{0,7}", fullmatch=True)
durations = st.one_of(
    st.integers(0, 5000).map(lambda number: f"{number}ms"),
    st.decimals(0, 100, places=3).map(lambda number: f"{number}s"),
    st.integers(0, 5),
    st.floats(0, 100, allow_nan=False),
)
positive_durations = st.integers(1, 5000).map(lambda number: f"{number}ms")
counts = st.one_of(
    st.integers(0, 3),
    st.integers(0, 3).map(lambda number: f">= {number}"),
    st.integers(1, 10**6).map(lambda number: f"< {number:,}"),
    st.integers(0, 5).map(lambda number: f"{number}..{number + 2}"),
)
texts = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters=":#"), min_size=1, max_size=12)


def _some(
    optional: dict[str, st.SearchStrategy[Any]], **always: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(always, optional=optional)


queues = st.one_of(
    _some({"type": st.just("classic"), "max_length": st.integers(0, 99), "message_ttl": durations}),
    _some({"delivery_limit": st.integers(0, 9)}, type=st.just("quorum")),
)
amounts = st.one_of(
    _some({"tasks": st.lists(texts, max_size=3)}, messages=st.integers(20, 500)),
    st.fixed_dictionaries({"tasks": st.lists(texts, min_size=9, max_size=9)}),
    st.fixed_dictionaries({"duration": st.one_of(positive_durations, st.just("timeline"))}),
)
publisher_settings = _some(
    {
        "count": st.integers(1, 3),
        "rate": st.floats(20, 10**6),
        "body": st.sampled_from(["1KiB", "64B", 10, "2 MB"]),
        "persistent": st.booleans(),
        "confirms": st.one_of(st.just(True), st.integers(1, 500).map(lambda window: {"window": window})),
        "mandatory": st.booleans(),
        "unconfirmed": st.sampled_from(["drop", "republish"]),
    }
)
worker_settings = _some(
    {
        "count": st.integers(2, 4),
        "acks": st.sampled_from(["manual", "automatic", "early"]),
        "prefetch": st.integers(5, 50),
        "ack_every": st.integers(1, 5),
        "work": st.one_of(
            durations,
            st.just("dots"),
            positive_durations.map(lambda duration: {"per_dot": duration}),
            st.just({"random": ["1ms", 0.5]}),
        ),
        "fails": st.one_of(
            st.just({"every": 7, "by": "reject"}),
            st.lists(st.just({"text": "bad", "by": "crash", "first_delivery_only": True}), max_size=2),
        ),
        "back_after": st.one_of(st.none(), durations),
    }
)
actions: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"kill": "broker"},
        {"kill": {"worker": "holding deliveries", "back_after": "1s"}},
        {"kill": "worker-1"},
        {"stop": {"publisher": "any"}},
        {"restart": {"broker": "any", "down_for": "250ms"}},
        {"pause": {"worker": "all", "for": "2s"}},
        {"resume": "worker-2"},
        {"scale": {"to": 3}},
        {"close": "connections"},
        {"close": {"connections": "all", "times": 3, "every": "200ms"}},
        {"declare": {"queue": "tasks", "durable": False, "arguments": {"x-max-length": 5}}},
        {"publish": "one more"},
        {"publish": {"queue": "tasks", "text": "poison", "count": 2}},
        {"purge": "tasks"},
    ]
)
triggers: st.SearchStrategy[dict[str, Any]] = st.one_of(
    durations.map(lambda duration: {"at": duration}),
    st.just({"after": {"published": 1}}),
    st.just({"after": {"processed": 1, "in flight": 1}}),
    st.just({"after": {"delivered": 1, "backlog": 1}}),
)
expectations = _some(
    {
        "duplicates": counts,
        "redelivered": counts,
        "order": st.booleans() | st.booleans().map(lambda kept: {"ignore": "redelivered", "kept": kept}),
        "fairness": st.sampled_from(["<= 1.5", 2, "1..3"]),
        "shares": st.just({"worker": ">= 60%", "worker-2": "10%..90%"}),
        "processed_by": st.just({"worker-1": ">= 1"}),
        "outage": st.just({"workers": "< 5s"}),
        "recovery": st.sampled_from(["< 10s", "0..1m", 0]),
        "errors": st.one_of(st.just({"code": 406}), st.just([{"code": 320, "text": "FORCED", "count": ">= 1"}])),
    }
)


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid scenario: a queue called tasks and perhaps others, one group of publishers and one of workers."""
    alone, refers = draw(st.booleans()), draw(st.booleans())
    others = draw(st.dictionaries(names.filter(lambda name: name != "tasks"), queues, max_size=2))
    scenario: dict[str, Any] = {
        "name": draw(texts),
        "queues": {"tasks": draw(queues), **others},
        "publishers": draw(publisher_settings) | draw(amounts),
        "workers": {"count": 2} | draw(worker_settings),
        "timeline": [draw(triggers) | draw(actions) for _ in range(draw(st.integers(0, 3)))],
        "expect": draw(expectations),
    }
    if not alone:
        scenario["publishers"] = [scenario["publishers"]]
    if others and refers:
        scenario["queues"]["tasks"]["dead_letter"] = next(iter(others))
    scenario |= draw(
        _some(
            {
                "description": texts,
                "seed": st.integers(0, 2**63 - 1),
                "settle": durations,
                "backlog_first": st.booleans(),
                "client": st.sampled_from(("pika", "fast")),
                "drain": st.just({"quiet": "500ms", "timeout": "20s"}),
                "broker": st.just({"config": {"vm_memory_high_watermark.relative": 0.5}, "nodes": 3}),
            }
        )
    )
    return scenario
