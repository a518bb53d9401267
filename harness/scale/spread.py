"""One run's publishers and workers, spread over the machines of an engine, against one broker."""

from __future__ import annotations

from pathlib import Path

from harness.engine.host import Host, machine_id
from harness.errors import InfrastructureError
from harness.scale.actor_handle import DaskWorker
from harness.scale.connect import Engine
from harness.scale.remote import RemoteHost
from harness.traffic.spec import Target

LOOPBACK = ("127.", "localhost", "::1")


class Spread:
    """Makes a host of every Dask worker."""

    def __init__(self, engine: Engine) -> None:
        """Take all workers of the engine."""
        self._engine = engine

    def hosts(self, logs: Path, target: Target) -> tuple[Host, ...]:
        """Start an agent on each, and see that it reaches the broker. Raises InfrastructureError, with nothing left there."""
        logs.mkdir(parents=True, exist_ok=True)
        client = self._engine.client
        there = client.scheduler_info(n_workers=-1)["workers"]
        workers = [DaskWorker(name, address) for name, address in self._engine.workers.items() if address in there]
        if not workers:
            raise InfrastructureError("no Dask worker is left of those that were there when the command began")
        hosts: list[RemoteHost] = []
        try:
            for worker in workers:
                hosts.append(RemoteHost(client, worker, logs))
                self._must_reach(hosts[-1], target)
        except BaseException:
            for host in hosts:
                host.close()
            raise
        return tuple(hosts)

    @staticmethod
    def _must_reach(host: RemoteHost, target: Target) -> None:
        local = any(address.startswith(LOOPBACK) for address, _ in target.addresses)
        if local and host.machine() != machine_id():
            raise InfrastructureError(
                f"the broker listens on this machine alone, and the Dask worker {host.name} is on another; name a broker that all "
                "reach with --broker amqp://USER:PASSWORD@HOST"
            )
        problem = host.reach(target.addresses)
        if problem is not None:
            raise InfrastructureError(f"the Dask worker {host.name} does not reach the broker at {problem}")
