"""setup, doctor, clean: the machine that the harness runs on."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import check_image, echo, say
from harness.plain import plain


def _check_tag(text: str | None) -> str | None:
    return check_image(text, "--tag")


def setup(
    image: Annotated[
        bool,
        typer.Option(
            "--image", help="Build a RabbitMQ image out of Debian packages, for an engine without a registry."
        ),
    ] = False,
    suite: Annotated[str, typer.Option(help="Debian suite of the image: trixie has RabbitMQ 4.0.")] = "trixie",
    tag: Annotated[str | None, typer.Option(help="Tag of the image.", callback=_check_tag, show_default=False)] = None,
    compose: Annotated[bool, typer.Option("--compose", help="Install Docker's compose plugin for this user.")] = False,
    if_needed: Annotated[bool, typer.Option("--if-needed", help="Do nothing if a broker can be had already.")] = False,
) -> None:
    """Install what is missing: RabbitMQ for the native backend, or with options an image or the compose plugin."""
    if if_needed:
        from harness.broker.doctor import usable

        if usable():
            return
    if image:
        from harness.broker.image import DEFAULT_TAG, build

        echo(build(suite=suite, tag=tag or (DEFAULT_TAG if suite == "trixie" else None), progress=say))
    if compose:
        from harness.broker.compose_plugin import install as install_compose

        echo(str(install_compose(say)))
    if not image and not compose:
        from harness.broker.install import install

        found = install(say)
        echo(f"RabbitMQ {found.version} for the native backend: {found.home}")


def doctor() -> None:
    """Say what is there, what is missing, and what to do about it; one line each."""
    from harness.broker.doctor import examine

    check_image(None)
    findings = examine()
    for finding in findings:
        echo(plain(f"{finding.state:8} {finding.what}" + (f": {finding.advice}" if finding.advice else "")))


def clean() -> None:
    """Remove what runs that were killed left behind: processes, folders, containers, volumes, networks."""
    from harness import leftovers
    from harness.broker.sweeping import sweep_containers

    containers, unseen = sweep_containers()
    runs, remarks = leftovers.sweep()
    removed = (*runs, *containers)
    for line in removed:
        echo(plain(f"removed {line}"))
    if not removed:
        echo("nothing to remove")
    for remark in remarks:
        say(remark)
    if unseen:
        say(f"containers were not looked at: {unseen}")
