"""An image with RabbitMQ out of Debian packages, for an engine that reaches no registry.

It behaves as the official image does where it matters: guest is allowed from outside, data lies under /var/lib/rabbitmq in a volume,
the Erlang VM is the main process (so a stop is clean and its exit code is true), rabbitmqctl works, the management plugin is on,
the log goes to the console, /etc/rabbitmq/conf.d is read, and a health check tells when it listens.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import docker
from docker.errors import NotFound

from harness.broker import debian
from harness.broker.docker_engine import connect, engine_errors
from harness.errors import BackendUnavailableError

REPOSITORY = "chaos-rabbitmq"
DEFAULT_TAG = f"{REPOSITORY}:4"
SUITE_LABEL = "io.chaos-harness.suite"
VERSION_LABEL = "io.chaos-harness.rabbitmq"
RECIPE_LABEL = "io.chaos-harness.recipe"
"""What this module puts around the packages; an image of another recipe is built anew."""
_LEFT_OUT = (
    "./var/cache/apt/",
    "./var/lib/apt/lists/",
    "./usr/share/locale/",
    "./usr/share/doc/",
    "./usr/share/man/",
    "./usr/share/info/",
    "./dev/",
    "./proc/",
    "./sys/",
)
_SCRIPTS = Path("/usr/share/debootstrap/scripts")
_OLDER_SCRIPTS = {"forky": "sid", "duke": "sid"}
"""Suites that an older debootstrap knows no script for, and the script that fits."""

_ENTRY = """#!/bin/sh
# The data may lie in a fresh volume; the plugins file may be mounted read-only.
export HOME=/var/lib/rabbitmq RABBITMQ_LOGS=- RUNNING_UNDER_SYSTEMD=true LANG=C.UTF-8
export RABBITMQ_PID_FILE=/tmp/rabbitmq.pid RABBITMQ_NODENAME="${RABBITMQ_NODENAME:-rabbit@$(hostname)}"
exec "$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-*)/sbin/rabbitmq-server" "$@"
"""
_TOOL = """#!/bin/sh
export HOME=/var/lib/rabbitmq LANG=C.UTF-8 RABBITMQ_NODENAME="${RABBITMQ_NODENAME:-rabbit@$(hostname)}"
exec "$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-*)/sbin/@TOOL@" "$@"
"""
_TOOLS = ("rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-plugins")
_PLUGINS = "[rabbitmq_management].\n"
_DEFAULTS = "loopback_users = none\nlog.console = true\n"
_HEALTH = '["bash", "-c", ": </dev/tcp/127.0.0.1/5672"]'
"""A listener is there. Costs no Erlang VM, as rabbitmq-diagnostics does, and leaves no line in the broker's log."""


def build(*, suite: str = "trixie", tag: str | None = None, progress: Callable[[str], None]) -> str:
    """Build an image of a Debian suite's RabbitMQ and return its tag; does nothing where `tag` is one of this recipe already.

    Needs root. Raises BackendUnavailableError, BrokerError.
    """
    with closing(connect()) as client:
        if tag is not None and _labels(client, tag).items() >= {SUITE_LABEL: suite, RECIPE_LABEL: recipe()}.items():
            progress(f"{tag} is there already; remove it (docker image rm {tag}) to have it built anew")
            return tag
        return _build(client, suite, tag, progress)


def recipe() -> str:
    """Return a number for what is put around the packages: the same as long as nothing of it changes."""
    parts = (_ENTRY, _TOOL, _DEFAULTS, _PLUGINS, *_TOOLS, *_LEFT_OUT, *_changes("", ""))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def is_current(client: docker.DockerClient, tag: str) -> bool:
    """Whether an image was built by this recipe."""
    return _labels(client, tag).get(RECIPE_LABEL) == recipe()


def _labels(client: docker.DockerClient, tag: str) -> dict[str, str]:
    with engine_errors(f"looking at the image {tag}"):
        try:
            return dict(client.images.get(tag).labels)
        except NotFound:
            return {}


def _build(client: docker.DockerClient, suite: str, tag: str | None, progress: Callable[[str], None]) -> str:
    if os.geteuid() != 0:
        raise BackendUnavailableError(
            "building an image takes root (debootstrap does); run it with sudo, or pull an image"
        )
    if shutil.which("debootstrap") is None:
        raise BackendUnavailableError("building an image takes debootstrap; install it: apt-get install debootstrap")
    with tempfile.TemporaryDirectory(prefix="chaos-image-") as scratch:
        root = Path(scratch) / "root"
        progress(f"debootstrap of {suite} with rabbitmq-server (about half a minute)")
        _debootstrap(suite, root)
        version = _prepare(root)
        progress(f"importing RabbitMQ {version}")
        archive = Path(scratch) / "root.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(root, arcname=".", filter=_wanted)
        exact = f"{REPOSITORY}:{version}"
        with engine_errors("importing the image"):
            client.api.import_image_from_file(
                str(archive),
                repository=REPOSITORY,
                tag=version,
                changes=[*_changes(suite, version), f"LABEL {RECIPE_LABEL}={recipe()}"],
            )
            image = client.images.get(exact)
            if tag is not None:
                repository, _, name = tag.rpartition(":")
                image.tag(repository or tag, tag=name if repository else None)
    return tag or exact


def _debootstrap(suite: str, root: Path) -> None:
    script = _SCRIPTS / suite
    if not script.exists():
        script = _SCRIPTS / _OLDER_SCRIPTS.get(suite, "sid")
    command = ["debootstrap", "--variant=minbase", "--include=rabbitmq-server", suite, str(root)]
    # Ubuntu's archive has no suite of Debian's; for those debootstrap knows an archive itself.
    if "ubuntu" not in debian.family() or suite == debian.codename():
        command += [debian.mirror(), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackendUnavailableError(f"debootstrap of {suite} failed: {debian.last_line(done.stdout + done.stderr)}")


def _prepare(root: Path) -> str:
    """Put configuration and entry point in; returns RabbitMQ's version."""
    homes = sorted(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*"))
    if not homes:
        raise BackendUnavailableError("the suite's rabbitmq-server package holds no RabbitMQ")
    etc = root / "etc/rabbitmq"
    (etc / "conf.d").mkdir(parents=True, exist_ok=True)
    (etc / "rabbitmq-env.conf").write_text("")
    (etc / "enabled_plugins").write_text(_PLUGINS)
    (etc / "conf.d/10-defaults.conf").write_text(_DEFAULTS)
    bin_folder = root / "usr/local/bin"
    _program(bin_folder / "chaos-rabbitmq-server", _ENTRY)
    for tool in _TOOLS:
        _program(bin_folder / tool, _TOOL.replace("@TOOL@", tool))
    passwd = (root / "etc/passwd").read_text()
    user = re.search(r"^rabbitmq:[^:]*:(\d+):(\d+):", passwd, re.MULTILINE)
    if user is None:
        raise BackendUnavailableError("the suite's rabbitmq-server package made no user rabbitmq")
    for path in (etc, *etc.rglob("*"), root / "var/lib/rabbitmq"):
        os.chown(path, int(user[1]), int(user[2]))
    shutil.rmtree(root / "var/lib/rabbitmq/mnesia", ignore_errors=True)
    (root / "var/lib/rabbitmq/.erlang.cookie").unlink(missing_ok=True)
    return homes[-1].name.removeprefix("rabbitmq_server-")


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if any(member.name.startswith(left) for left in _LEFT_OUT) or member.isdev() else member


def _changes(suite: str, version: str) -> list[str]:
    return [
        "USER rabbitmq",
        "ENV LANG=C.UTF-8",
        "VOLUME /var/lib/rabbitmq",
        "EXPOSE 5672 15672",
        'ENTRYPOINT ["/usr/local/bin/chaos-rabbitmq-server"]',
        f"HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD {_HEALTH}",
        f"LABEL {SUITE_LABEL}={suite} {VERSION_LABEL}={version}",
    ]
