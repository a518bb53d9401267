"""`make bench` and `make bench-light`: the load that a publisher and a worker make, beside other clients.

One queue, 256 byte persistent messages, a confirm window of 1000, a prefetch of 500, an ack for every 100 deliveries; the
two processes of a client run at the same time, and the clients take turns.
"""

from __future__ import annotations

import argparse
import resource
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients import Client, Task, harness, program
from benchmarks.footprint import footprint
from benchmarks.table import PAGE, Bench, Measured, refresh
from benchmarks.yardsticks.build import YardstickError, build_c, build_java
from harness.broker.install import install
from harness.broker.native import NativeBroker
from harness.broker.protocol import Broker, BrokerSettings
from harness.broker.select import select
from harness.errors import ChaosError
from harness.ledger import Ledger
from harness.traffic import topology
from harness.traffic.spec import Target

C, JAVA = "rabbitmq-c", "Java client"
FAST, PIKA = "harness, client fast", "harness, client pika"
UNRECORDED = "harness, client fast, nothing recorded"
SKIPPED_SHARE = 0.2
"""The share of the messages that begins a round and is not measured: connections fill, a virtual machine compiles."""


def main() -> int:
    """Run the bench; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every client")
    parser.add_argument("--messages", type=int, default=200_000, help="messages of a round")
    parser.add_argument("--queues", nargs="+", default=["classic", "quorum"], help="queue types")
    parser.add_argument(
        "--broker",
        default="native",
        help="auto, container, native or an amqp:// URL; Docker forwards each byte of a container in a process of its own",
    )
    parser.add_argument(
        "--suite", help="a native broker of this Debian suite (trixie has RabbitMQ 4.0), unpacked into the user's cache"
    )
    parser.add_argument("--boot-timeout", type=float, default=120.0, help="how long the broker may take to start, in s")
    parser.add_argument(
        "--light", action="store_true", help="a yardstick that cannot be built is left out; nothing is written"
    )
    parser.add_argument("--footprint", action="store_true", help="also run 50 publishers and 50 workers to a schedule")
    options = parser.parse_args()
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            clients = [*_yardsticks(folder, light=options.light), harness(FAST, "fast"), harness(PIKA, "pika")]
            clients.append(harness(UNRECORDED, "fast", recorded=False))
            target, broker = stack.enter_context(_broker(options.broker, options.suite, folder, options.boot_timeout))
            rounds: dict[tuple[str, str], list[Round]] = {}
            for number in range(1, options.rounds + 1):
                for queue in options.queues:
                    for client in clients:
                        found = _round(client, target, queue, options.messages, folder)
                        rounds.setdefault((client.name, queue), []).append(found)
                        _say(f"round {number}, {queue}, {client.name}: {found.rate:,.0f} messages a second")
            measured = tuple(
                Measured(
                    name,
                    queue,
                    tuple(each.rate for each in found),
                    tuple(each.processor_us for each in found),
                    found[-1].bytes_a_message or None,
                )
                for (name, queue), found in rounds.items()
            )
            bench = Bench(broker, options.messages, options.rounds, measured)
            text = f"{bench.table((C, JAVA, UNRECORDED))}\n\n{bench.conditions()}"
            if options.footprint:
                text += f"\n\n{footprint(target, folder)}"
    except ChaosError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(text)  # noqa: T201
    if not options.light:
        _say(f"written: {bench.write()}")
        PAGE.write_text(refresh(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _yardsticks(folder: Path, *, light: bool) -> Iterator[Client]:
    for name, build in ((C, build_c), (JAVA, build_java)):
        try:
            yield program(name, build(folder))
        except YardstickError as error:
            if not light:
                raise
            _say(f"{name} is left out: {error}")


@contextmanager
def _broker(backend: str, suite: str | None, folder: Path, boot_timeout_s: float) -> Iterator[tuple[Target, str]]:
    """Start a broker of one node, for the bench alone; gives where it is and what it is."""
    run_id = f"bench-{secrets.token_hex(4)}"
    ledger = Ledger(run_id)
    settings = BrokerSettings(run_id=run_id, directory=folder / "broker", start_timeout_s=boot_timeout_s)
    settings.directory.mkdir()
    try:
        url = backend if backend.startswith("amqp") else None
        broker: Broker
        if suite is None:
            broker = select("external" if url else backend, settings, ledger, url=url).broker
        else:
            broker = NativeBroker(settings, install(_say, suite=suite), ledger)
        try:
            broker.start()
            at, versions = broker.endpoint(), broker.versions()
            yield (
                Target(((at.host, at.port),), at.username, at.password),
                f"RabbitMQ {versions.rabbitmq} (Erlang {versions.erlang})",
            )
        finally:
            broker.destroy()
    finally:
        ledger.close()


@dataclass(frozen=True, slots=True)
class Round:
    """What was measured of a client once."""

    rate: float
    """Messages a second."""
    processor_us: float
    """Of both ends, for each message."""
    bytes_a_message: float
    """In the logs of both ends."""


def _round(client: Client, target: Target, kind: str, messages: int, folder: Path) -> Round:
    """Measure a client once."""
    before_s = _children_s()
    queue = f"bench-{secrets.token_hex(4)}"
    declared = topology.QueueDeclaration(queue, arguments={"x-queue-type": kind})
    topology.declare(target, [], [declared], [])
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        task = Task(target, queue, messages, int(messages * SKIPPED_SHARE), Path(directory))
        worker = client.start("worker", task)
        try:
            worker.await_ready()
            publisher = client.start("publisher", task)
            try:
                publisher.await_ready()
                worker.go()
                publisher.go()
                published, worked = publisher.finish(), worker.finish()
            finally:
                publisher.kill()
        finally:
            worker.kill()
            topology.delete(target, [queue], [])
        seconds = (max(published.last, worked.last) - worked.mark) / 1e9
        return Round(
            rate=(messages - task.skip) / seconds,
            processor_us=(_children_s() - before_s) / messages * 1e6,
            bytes_a_message=(publisher.logged_bytes + worker.logged_bytes) / messages,
        )


def _children_s() -> float:
    """Return the processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
