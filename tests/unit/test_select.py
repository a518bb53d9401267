"""Which broker a run gets, and why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.broker import doctor, image_choice
from harness.broker import select as selecting
from harness.broker.abilities import abilities
from harness.broker.compose import ComposeBroker
from harness.broker.container import BUILT_IMAGE, DEFAULT_IMAGE, ContainerBroker
from harness.broker.docker_engine import connect
from harness.broker.external import ExternalBroker
from harness.broker.image import DEFAULT_TAG, RECIPE_LABEL, SUITE_LABEL, build, recipe
from harness.broker.image_choice import IMAGE_VARIABLE, choose
from harness.broker.install import Installation
from harness.broker.native import NativeBroker
from harness.broker.ports import free_port
from harness.broker.protocol import Ability, BrokerSettings
from harness.broker.select import Selection, select
from harness.errors import BackendUnavailableError, UsageError
from harness.ledger import Ledger
from tests.unit.fake_engine import FakeEngine, serve

SOME = Installation(Path("/rabbitmq_server-4.0.5"), Path("/erlang"), "4.0.5")
Choose = Callable[..., Selection]


@pytest.fixture(autouse=True)
def _no_choice_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(IMAGE_VARIABLE, raising=False)
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Choose]:
    ledger = Ledger("select")
    yield lambda backend, image="", **more: select(
        backend, BrokerSettings("select", tmp_path, image=image), ledger, **more
    )
    ledger.close()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    with serve(FakeEngine()) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.address)
        yield engine


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    def installed(there: bool) -> None:
        for module in (selecting, doctor):
            monkeypatch.setattr(module, "find_installation", lambda: SOME if there else None)

    installed(True)
    return installed


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({DEFAULT_IMAGE, BUILT_IMAGE}, DEFAULT_IMAGE),
        ({BUILT_IMAGE}, BUILT_IMAGE),
    ],
)
@pytest.mark.usefixtures("native")
def test_auto_takes_the_container_backend_with_the_best_image_that_is_there(
    ask: Choose, engine: FakeEngine, there: set[str], taken: str
) -> None:
    engine.images = there
    selection = ask("auto")
    assert isinstance(selection.broker, ContainerBroker)
    assert selection.reason == f"container: the engine answers and has {taken}"
    assert engine.pulls == [], "what is there is not pulled"


@pytest.mark.usefixtures("native")
def test_auto_pulls_where_nothing_is_there(ask: Choose, engine: FakeEngine) -> None:
    engine.registry = {DEFAULT_IMAGE}
    selection = ask("auto")
    assert isinstance(selection.broker, ContainerBroker)
    assert selection.reason == f"container: the engine answers and pulled {DEFAULT_IMAGE}"


@pytest.mark.usefixtures("native")
def test_auto_takes_the_native_backend_where_no_image_can_be_had(ask: Choose, engine: FakeEngine) -> None:
    selection = ask("auto")
    assert isinstance(selection.broker, NativeBroker)
    assert selection.reason.startswith(
        f"native: the engine has no image {DEFAULT_IMAGE} and could not pull it (manifest"
    )
    assert engine.pulls == [DEFAULT_IMAGE]
    assert "\n" not in selection.reason


@pytest.mark.usefixtures("native", "no_engine")
def test_auto_takes_the_native_backend_where_no_engine_answers(ask: Choose) -> None:
    selection = ask("auto")
    assert isinstance(selection.broker, NativeBroker)
    assert selection.reason.startswith("native: no Docker engine answers")


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("address", ["tcp://engine.example:2375", "ssh://ann@engine.example"])
def test_an_engine_of_another_machine_is_not_used(ask: Choose, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    selection = ask("auto")
    assert isinstance(selection.broker, NativeBroker)
    assert "is on engine.example, whose ports" in selection.reason


@pytest.mark.usefixtures("no_engine")
def test_with_neither_it_says_what_to_run(ask: Choose, native: Callable[[bool], None]) -> None:
    native(False)
    with pytest.raises(BackendUnavailableError, match=r"no Docker engine answers.*, and .*run `chaos setup`"):
        ask("auto")
    with pytest.raises(BackendUnavailableError, match="run `chaos setup`"):
        ask("native")
    with pytest.raises(BackendUnavailableError, match="no Docker engine answers"):
        ask("container")


def test_an_image_that_is_asked_for_is_the_only_one_that_will_do(
    ask: Choose, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.images = {DEFAULT_IMAGE, "mine:1", "yours:2"}
    monkeypatch.setenv(IMAGE_VARIABLE, "mine:1")
    assert ask("container").reason.endswith("has mine:1")
    assert ask("container", image="yours:2").reason.endswith("has yours:2")
    with pytest.raises(BackendUnavailableError, match="no image theirs:3 and could not pull it"):
        ask("container", image="theirs:3")
    assert engine.pulls == ["theirs:3"]


@pytest.mark.parametrize(
    ("image", "pulled"),
    [
        ("rabbitmq", "rabbitmq:latest"),
        ("localhost:5000/rabbitmq", "localhost:5000/rabbitmq:latest"),
        ("localhost:5000/team/rabbitmq:4", "localhost:5000/team/rabbitmq:4"),
        (f"rabbitmq@sha256:{'0' * 64}", f"rabbitmq@sha256:{'0' * 64}"),
    ],
)
def test_a_name_is_taken_apart_as_the_engine_does(engine: FakeEngine, image: str, pulled: str) -> None:
    engine.registry = {pulled}
    with closing(connect()) as client:
        assert choose(client, image).pulled
    assert engine.pulls == [pulled]


def test_a_pull_that_says_nothing_is_given_up(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_choice, "PULL_SILENCE_S", 0.5)
    engine.silent = True
    with closing(connect()) as client, pytest.raises(BackendUnavailableError, match=r"said nothing for 0\.5 s"):
        choose(client)


def test_a_pull_that_does_not_end_is_given_up(engine: FakeEngine) -> None:
    engine.endless = True
    with closing(connect()) as client, pytest.raises(BackendUnavailableError, match="took longer than 1 s"):
        choose(client, timeout_s=1)


def test_each_backend_that_is_asked_for_is_the_one_that_is_made(
    ask: Choose, engine: FakeEngine, native: Callable[[bool], None]
) -> None:
    native(True)
    engine.images = {DEFAULT_IMAGE}
    assert isinstance(ask("native").broker, NativeBroker)
    assert isinstance(ask("container").broker, ContainerBroker)
    assert isinstance(ask("compose").broker, ComposeBroker)
    assert isinstance(ask("external", url="amqp://h").broker, ExternalBroker)
    with pytest.raises(UsageError, match="needs its address"):
        ask("external")
    with pytest.raises(UsageError, match="'podman'"):
        ask("podman")


@pytest.mark.parametrize("backend", ["auto", "native", "container", "compose", "external"])
def test_what_can_be_done_is_known_before_the_start(
    ask: Choose, engine: FakeEngine, native: Callable[[bool], None], backend: str
) -> None:
    native(True)
    engine.images = {DEFAULT_IMAGE}
    commands = {"kill": "true"}
    broker = ask(backend, url="amqp://h", commands=commands).broker
    assert broker.abilities == abilities(backend, commands)
    assert abilities("external", commands) == {Ability.KILL}


def test_a_broker_counts_as_usable_when_auto_would_find_one(engine: FakeEngine, native: Callable[[bool], None]) -> None:
    assert doctor.usable()
    assert engine.pulls == []
    native(False)
    assert not doctor.usable()
    engine.registry = {DEFAULT_IMAGE}
    assert doctor.usable(), "an image that can be pulled is enough"
    assert engine.images == {DEFAULT_IMAGE}


@pytest.mark.usefixtures("no_engine")
def test_the_doctor_says_what_is_missing_and_what_to_do(native: Callable[[bool], None]) -> None:
    native(False)
    findings = {finding.what: finding for finding in doctor.examine()}
    assert findings["Docker engine"].state == "missing"
    assert "systemctl start docker" in findings["Docker engine"].advice
    assert findings["RabbitMQ for the native backend"].advice == "chaos setup"
    for finding in findings.values():
        assert finding.advice or finding.state == "ok"
        assert "\n" not in finding.what + finding.advice


def test_the_doctor_names_the_image_that_is_there_or_to_be_pulled(engine: FakeEngine) -> None:
    engine.images, engine.labels = {BUILT_IMAGE}, {RECIPE_LABEL: recipe()}
    assert (f"image {BUILT_IMAGE}", "ok") in [(each.what, each.state) for each in doctor.examine()]
    engine.labels = {RECIPE_LABEL: "of before"}
    (image,) = [each for each in doctor.examine() if each.what.startswith("image")]
    assert (image.state, image.advice) == ("problem", "chaos setup --image")
    engine.images = set()
    (image,) = [each for each in doctor.examine() if each.what.startswith("image")]
    assert image.state == "missing"
    assert f"docker pull {DEFAULT_IMAGE}" in image.advice
    assert engine.pulls == [], "the doctor looks and does nothing"


@pytest.mark.usefixtures("no_engine")
def test_the_doctor_finds_what_killed_runs_left(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "dead.json").write_text(
        json.dumps({"owner": "4194303:1.0", "token": "0" * 16, "processes": [], "directories": []})
    )
    (left,) = [each for each in doctor.examine() if "left" in each.what]
    assert (left.state, left.advice) == ("problem", "chaos clean")


def test_an_image_that_is_there_is_not_built_again(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.images, engine.labels = {DEFAULT_TAG}, {RECIPE_LABEL: recipe(), SUITE_LABEL: "trixie"}
    monkeypatch.setenv("PATH", "/nowhere")
    said: list[str] = []
    assert build(tag=DEFAULT_TAG, progress=said.append) == DEFAULT_TAG
    assert "is there already" in said[0]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BackendUnavailableError, match="takes root"):
        build(suite="sid", tag=DEFAULT_TAG, progress=said.append)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    engine.labels = {SUITE_LABEL: "trixie"}
    with pytest.raises(BackendUnavailableError, match="apt-get install debootstrap"):
        build(tag=DEFAULT_TAG, progress=said.append)


def test_the_recipe_is_another_one_when_anything_of_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe()
    assert recipe() == before
    for name in ("_ENTRY", "_TOOL", "_HEALTH", "_DEFAULTS"):
        with monkeypatch.context() as changed:
            changed.setattr(f"harness.broker.image.{name}", "other")
            assert recipe() != before, name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quo'te", "a single quote"),
        ('quo"te`', "a double quote and a backquote"),
        (os.fsdecode(b"\xff\xfe"), "bytes that are not UTF-8"),
    ],
)
def test_a_place_that_rabbitmq_cannot_keep_its_data_in_is_refused_at_once(
    ask: Choose,
    native: Callable[[bool], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    said: str,
) -> None:
    native(True)
    (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / name))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(
        BackendUnavailableError, match=f"the name of that folder holds {said}; name another folder in TMPDIR"
    ) as told:
        ask("native")
    assert str(told.value).isprintable()


def test_a_place_with_other_marks_in_its_name_will_do(
    ask: Choose, native: Callable[[bool], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native(True)
    place = tmp_path / "a \t\n\\$x;&|<>(){}[]*?~#é\U0001f600"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert isinstance(ask("native").broker, NativeBroker)


def test_a_limit_on_open_files_that_rabbitmq_does_not_boot_with_is_refused_at_once(
    ask: Choose, native: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    native(True)
    monkeypatch.setattr("resource.getrlimit", lambda _limit: (20, 20))
    with pytest.raises(BackendUnavailableError, match=r"a process may have 20 here \(ulimit -H -n\); raise the limit"):
        ask("native")
    monkeypatch.setattr("resource.getrlimit", lambda _limit: (20, 4096))
    assert isinstance(ask("native").broker, NativeBroker)
