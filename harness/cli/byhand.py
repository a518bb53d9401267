"""broker, publish, work: the tutorial by hand, in consoles."""

from __future__ import annotations

import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.broker.liveness import Liveness
from harness.cli.options import BrokerChoice, BrokerOption, Image, echo, say
from harness.errors import BrokerError

if TYPE_CHECKING:
    from harness.broker.protocol import Broker
    from harness.ledger import Ledger
    from harness.traffic.spec import Target

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
BY_HAND = "by-hand-"
"""What the ledgers of brokers by hand begin with."""
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
    from harness.cli.suite import say_swept, sweep_everything
    from harness.interrupts import shielded
    from harness.ledger import Ledger, remove_directory
    from harness.scenario.scenario import BrokerModel

    option = BrokerOption.parse(choice)
    option.check(BrokerModel(), Path("compose.yaml"), to_run=True)
    say_swept(sweep_everything())
    run_id = f"{BY_HAND}{secrets.token_hex(4)}"
    book = Ledger(run_id)
    folder = book.make_directory(Path(tempfile.gettempdir()), "by-hand")
    cleaned_up = True
    try:
        with interruptible("ending the broker; its data is removed"):
            settings = BrokerSettings(run_id, folder, image=image or "", permit=("transient_nonexcl_queues",))
            found, reason = option.make(BrokerModel(), Path("compose.yaml"), settings, book, say)
            say(reason)
            cleaned_up = False
            try:
                _serve(found, book)
            finally:
                with shielded():
                    found.destroy()
                    cleaned_up = True
    finally:
        if cleaned_up:  # else the next sweep has what it needs
            remove_directory(folder)
            book.close()


def _serve(found: Broker, book: Ledger) -> None:
    """Run a broker until an interrupt. Raises BrokerError if it ends by itself."""
    try:
        found.start()
        endpoint = found.endpoint()
        book.set_address(endpoint.url)
        say(f"RabbitMQ {found.versions().rabbitmq} answers at {endpoint}; Ctrl-C ends it")
        liveness = Liveness(found)
        while liveness.look() is None:
            time.sleep(POLL_S)
        end_of_log = "\n".join(log[-2000:] for log in found.logs().values())
        raise BrokerError(f"the broker ended by itself; the end of its log:\n{end_of_log}")
    except KeyboardInterrupt:
        return


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
    echo(f" [x] Sent {text}")


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
            say=echo,
        )
    except KeyboardInterrupt:
        echo(" [*] Stopped")


def _target(url: str | None) -> Target:
    from harness.broker.address import parse_url
    from harness.traffic.spec import Target

    endpoint = parse_url(url or by_hand() or DEFAULT_URL, "--url")
    return Target(
        addresses=((endpoint.host, endpoint.port),),
        username=endpoint.username,
        password=endpoint.password,
        virtual_host=endpoint.virtual_host,
        tls=endpoint.tls,
    )


def by_hand() -> str:
    """Return where the broker of `chaos broker` answers; empty if none runs. Raises BrokerError if it was killed."""
    from harness.ledger_book import DamagedLedgerError, ledgers, read_any

    gone = False
    for path in ledgers():
        if not path.name.startswith(BY_HAND):
            continue
        try:
            book = read_any(path)
        except DamagedLedgerError:  # the next sweep sets it aside, and says so
            continue
        if book is not None and book.address:
            if book.owner.may_live():
                return book.address
            gone = True
    if gone:
        raise BrokerError(
            "the broker that `chaos broker` ran is gone, its process was killed; `chaos clean` removes what it left, `chaos broker` "
            "runs another, and --url names one of your own"
        )
    return ""
