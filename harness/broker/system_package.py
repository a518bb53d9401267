"""Installing the distribution's rabbitmq-server as root, without starting or enabling its service."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.broker import debian
from harness.errors import BackendUnavailableError

PACKAGE = "rabbitmq-server"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
APT_TIMEOUT_S = 1200.0
LOCK_TIMEOUT_S = 120
"""How long to wait for another apt, such as the nightly upgrade, to let go."""

_SERVICE_TOOLS = ("invoke-rc.d", "update-rc.d", "deb-systemd-helper", "deb-systemd-invoke", "service", "systemctl")
_QUIET = """#!/bin/sh
case "$*" in *rabbitmq-server*|*epmd*) exit 0 ;; esac
PATH={path}
export PATH
command -v {tool} >/dev/null || exit 0
exec {tool} "$@"
"""


def install(progress: Callable[[str], None]) -> None:
    """Install the package through apt-get. Raises BackendUnavailableError.

    The packages' scripts start and enable services through a handful of tools, found on the path that apt gives them. For
    the time of this one call quiet ones stand in front, which do nothing for RabbitMQ and for Erlang's epmd and pass on
    everything else. Nothing on the machine is changed for that, so nothing has to be put back, however the call ends.
    """
    progress(f"installing the distribution's {PACKAGE} through apt-get; its service is neither started nor enabled")
    with tempfile.TemporaryDirectory(prefix="chaos-quiet-") as folder:
        # dpkg's children may run as other users.
        Path(folder).chmod(0o755)
        for tool in _SERVICE_TOOLS:
            script = Path(folder) / tool
            script.write_text(_QUIET.format(path=SYSTEM_PATH, tool=tool), encoding="utf-8")
            script.chmod(0o755)
        update_failed = _apt("update")
        failed = _apt(
            "install",
            "--yes",
            "--no-install-recommends",
            f"--option=DPkg::Path={folder}:{SYSTEM_PATH}",
            f"--option=DPkg::Lock::Timeout={LOCK_TIMEOUT_S}",
            PACKAGE,
        )
    if failed:
        # A source of a third party that is out of order does not matter as long as the package is had.
        also = f" (and apt-get update: {update_failed})" if update_failed else ""
        raise BackendUnavailableError(f"apt-get could not install {PACKAGE}: {failed}{also}; install it by hand")


def _apt(*arguments: str) -> str:
    """Run apt-get; returns why it failed, or an empty string."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            ["apt-get", "-q", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return debian.last_line(done.stderr or done.stdout) if done.returncode != 0 else ""
