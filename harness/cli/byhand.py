"""broker, publish, work: the tutorial by hand, in consoles."""

from __future__ import annotations

import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.broker.liveness import Liveness
from harness.cli.options import BrokerChoice, BrokerOption, Image, say
from harness.errors import BrokerError

if TYPE_CHECKING:
    from harness.traffic.spec import Target

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
ADDRESS_FILE = "by-hand.url"
POLL_S = 0.2

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="CHAOS_URL", help="The broker; the one that `chaos broker` runs, if not given."),
]
QueueName = Annotated[str, typer.Option("--queue", help="The queue.")]
Durable = Annotated[bool, typer.Option(help="Declare the queue durable.")]
Quorum = Annotated[bool, typer.Option("--quorum", help="Declare a quorum queue.")]


def broker(choice: BrokerChoice = None, image: Image = None) -> None:
    """Run a broker until Ctrl-C, for `chaos publish` and `chaos work` in other consoles."""
    from harness.broker.protocol import BrokerSettings
    from harness.cli.interruptible import interruptible
    from harness.cli.suite import sweep_everything
    from harness.interrupts import shielded
    from harness.ledger import Ledger, state_directory
    from harness.scenario.scenario import BrokerModel

    option = BrokerOption.parse(choice)
    option.check(BrokerModel(), Path("compose.yaml"), to_run=True)
    sweep_everything()
    run_id = f"by-hand-{secrets.token_hex(4)}"
    book = Ledger(run_id)
    address = state_directory() / ADDRESS_FILE
    with (
        tempfile.TemporaryDirectory(prefix="chaos-by-hand-") as folder,
        interruptible("ending the broker; its data is removed"),
    ):
        settings = BrokerSettings(run_id, Path(folder), image=image or "", permit=("transient_nonexcl_queues",))
        found, reason = option.make(BrokerModel(), Path("compose.yaml"), settings, book, say)
        say(reason)
        try:
            found.start()
            endpoint = found.endpoint()
            address.touch(mode=0o600)
            address.write_text(endpoint.url, encoding="utf-8")
            say(f"RabbitMQ {found.versions().rabbitmq} answers at {endpoint}; Ctrl-C ends it")
            liveness = Liveness(found)
            while liveness.look() is None:
                time.sleep(POLL_S)
            end_of_log = "\n".join(log[-2000:] for log in found.logs().values())
            raise BrokerError(f"the broker ended by itself; the end of its log:\n{end_of_log}")
        except KeyboardInterrupt:
            return
        finally:
            with shielded():
                address.unlink(missing_ok=True)
                found.destroy()
                book.close()


def publish(
    text: Annotated[str, typer.Argument(help="The task; each dot is a second of work.")],
    url: Url = None,
    queue: QueueName = "task_queue",
    durable: Durable = True,
    quorum: Quorum = False,
    persistent: Annotated[bool, typer.Option(help="Persistent message (delivery mode 2).")] = True,
) -> None:
    """Publish one task, confirmed by the broker."""
    from harness.traffic.console import publish_text

    publish_text(_target(url), text, queue=queue, durable=durable, persistent=persistent, quorum=quorum)
    typer.echo(f" [x] Sent {text}")


def work(
    url: Url = None,
    queue: QueueName = "task_queue",
    durable: Durable = True,
    quorum: Quorum = False,
    automatic_acks: Annotated[
        bool, typer.Option("--automatic-acks", help="Let the broker acknowledge on sending.")
    ] = False,
    prefetch: Annotated[int, typer.Option(min=0, max=65535, help="Most deliveries held; 0 is unlimited.")] = 1,
    per_dot: Annotated[float, typer.Option(min=0.0, help="Seconds of work for each dot.")] = 1.0,
) -> None:
    """Work in this console until Ctrl-C: each dot of a task is a second of work."""
    from harness.traffic.console import work as consume

    try:
        consume(
            _target(url),
            queue=queue,
            durable=durable,
            quorum=quorum,
            automatic_acks=automatic_acks,
            prefetch=prefetch,
            per_dot_s=per_dot,
            say=typer.echo,
        )
    except KeyboardInterrupt:
        typer.echo(" [*] Stopped")


def _target(url: str | None) -> Target:
    from harness.broker.address import parse_url
    from harness.ledger import state_directory
    from harness.traffic.spec import Target

    by_hand = state_directory() / ADDRESS_FILE
    if url is None and by_hand.exists():
        url = by_hand.read_text(encoding="utf-8").strip()
    endpoint = parse_url(url or DEFAULT_URL, "--url")
    return Target(
        addresses=((endpoint.host, endpoint.port),),
        username=endpoint.username,
        password=endpoint.password,
        virtual_host=endpoint.virtual_host,
        tls=endpoint.tls,
    )
