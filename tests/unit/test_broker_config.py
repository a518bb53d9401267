"""A broker's configuration files, as every backend writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.broker import config
from harness.errors import BrokerError
from harness.scenario.broker_config import image_fault


def settings(text: str) -> dict[str, str]:
    """Read rabbitmq.conf as RabbitMQ does, line by line; a key that is set twice is an error."""
    pairs = [(key, value) for key, _, value in (line.partition(" = ") for line in text.splitlines())]
    assert len({key for key, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_a_native_broker_listens_on_the_loopback_alone() -> None:
    found = settings(config.render({}, listener="127.0.0.1:20001"))
    assert found["listeners.tcp.1"] == "127.0.0.1:20001"
    assert [key for key in found if "listeners" in key] == ["listeners.tcp.1"]


def test_guest_is_allowed_from_outside_a_container() -> None:
    found = settings(config.render({}, listener="5672"))
    assert found["listeners.tcp.1"] == "5672"
    assert found["loopback_users"] == "none"


def test_what_the_scenario_says_goes_over_what_is_usual() -> None:
    found = settings(config.render({"log.console.level": "debug", "heartbeat": "5"}, listener="5672"))
    assert (found["log.console.level"], found["heartbeat"]) == ("debug", "5")


def test_truth_is_written_as_rabbitmq_writes_it() -> None:
    assert settings(config.render({"mqtt.allow_anonymous": False}, listener="5672"))["mqtt.allow_anonymous"] == "false"


def test_a_cluster_names_its_nodes() -> None:
    found = settings(config.render({}, listener="5672", cluster=("a@h1", "a@h2")))
    assert found["cluster_formation.peer_discovery_backend"] == "classic_config"
    assert found["cluster_formation.classic_config.nodes.1"] == "a@h1"
    assert found["cluster_formation.classic_config.nodes.2"] == "a@h2"


def test_one_node_is_no_cluster() -> None:
    assert "cluster_formation" not in config.render({}, listener="5672", cluster=("a@h1",))
    assert "cluster_formation" not in config.render_advanced((), cluster=("a@h1",))


def test_plugins_listen_where_they_are_told() -> None:
    listeners = {"management.tcp": ("127.0.0.1", 20002), "mqtt.listeners.tcp": ("127.0.0.1", 20003)}
    found = settings(config.render({}, listener="127.0.0.1:20001", plugin_listeners=listeners))
    assert (found["management.tcp.ip"], found["management.tcp.port"]) == ("127.0.0.1", "20002")
    assert found["mqtt.listeners.tcp.1"] == "127.0.0.1:20003"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("heartbeat", "5\nlisteners.tcp.2 = 0.0.0.0:5672"),
        ("heartbeat", "5\rx"),
        ("heartbeat", "5 # and no more"),
        ("heartbeat", " "),
        ("heart beat", "5"),
        ("heartbeat\n", "5"),
        ("", "5"),
        ("a = b", "5"),
    ],
)
def test_what_would_break_out_of_its_line_is_refused(key: str, value: str) -> None:
    with pytest.raises(BrokerError, match=r"cannot be a line of rabbitmq\.conf"):
        config.render({key: value}, listener="5672")


@pytest.mark.parametrize(
    "key", ["listeners.tcp.1", "listeners.tcp.default", "cluster_formation.classic_config.nodes.1"]
)
def test_what_is_the_harness_own_is_refused(key: str) -> None:
    with pytest.raises(BrokerError, match=f"{key} is chosen by the harness"):
        config.render({key: "5"}, listener="5672")


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4))
def test_a_rendered_file_says_what_was_asked_for_or_nothing(wanted: dict[str, str]) -> None:
    try:
        found = settings(config.render(wanted, listener="127.0.0.1:20001"))
    except BrokerError:
        return
    assert {key: found[key] for key in wanted} == wanted
    assert found["listeners.tcp.1"] == "127.0.0.1:20001"


def test_deprecated_features_are_permitted_in_a_form_that_older_versions_ignore() -> None:
    assert (
        config.render_advanced(("transient_nonexcl_queues", "global_qos"))
        == "[{rabbit, [{permit_deprecated_features, #{transient_nonexcl_queues => true, global_qos => true}}]}].\n"
    )
    assert config.render_advanced(()) == "[{rabbit, [{permit_deprecated_features, #{}}]}].\n"


def test_a_clusters_newborn_nodes_do_not_wait_by_chance() -> None:
    assert "{randomized_startup_delay_range, {0, 2}}" in config.render_advanced((), cluster=("a@h1", "a@h2"))


def test_enabled_plugins_are_an_erlang_list() -> None:
    assert config.render_plugins(("rabbitmq_management", "rabbitmq_mqtt")) == "[rabbitmq_management,rabbitmq_mqtt].\n"
    assert config.render_plugins(()) == "[].\n"


@pytest.mark.parametrize("name", ["", "a]. [b", "Rabbit", "a,b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BrokerError, match="is not the name of a plugin"):
        config.render_plugins((name,))
    with pytest.raises(BrokerError, match="is not the name of a deprecated feature"):
        config.render_advanced((name,))


SHA256 = "a" * 64
RIGHT = (
    *(
        "rabbitmq",
        "rabbitmq:4-management",
        "a/b/c:1",
        "localhost:5000/a:T",
        "r.io:5000/a/b",
        "Upper.io/a",
        "UPPER:5000/a",
    ),
    *(
        "[::1]:5000/a:t",
        f"a:1@sha256:{SHA256}",
        f"sha256:{SHA256}",
        SHA256,
        "a__b",
        "a.b",
        "a---b",
        "a:_x",
        f"a:{'t' * 128}",
    ),
    f"r.io/{'a' * 251}",
)
"""Of these, and of the wrong ones, `docker tag` 20.10 says the same; a digest and a bare id can be run, if not be tagged."""
WRONG = (
    *(
        "",
        "UPPER",
        "a/B",
        "a b",
        "-x",
        "@",
        ":",
        "a:",
        "a@",
        "a:-x",
        f"a:{'t' * 129}",
        "a" * 256,
        "a___b",
        "a..b",
        "a-",
        "a_",
    ),
    *("a//b", "/a", "a/", "a:b:c", "é", "a:é", "a\n", "http://a/b", "-r.io/a", "r-.io/a", "r..io/a"),
    *(
        f"a@sha256:{'a' * 63}",
        f"a@md5:{'a' * 32}",
        f"a@sha256:{SHA256}:x",
        "[::g]/a",
        "\udcff",
        "a" * 1_000_000,
        "UPPER CASE:\u202e",
    ),
)


@pytest.mark.parametrize("image", RIGHT)
def test_what_docker_takes_for_the_name_of_an_image_is_one(image: str) -> None:
    assert image_fault(image) is None


@pytest.mark.parametrize("image", WRONG, ids=lambda image: ascii(image[:20]))
def test_what_docker_takes_for_no_name_of_an_image_is_none(image: str) -> None:
    fault = image_fault(image)
    assert fault is not None
    assert "is not the name of an image; write repository:tag" in fault
    assert len(fault) < 200
