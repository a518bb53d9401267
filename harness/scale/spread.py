"""One run's publishers and workers, spread over the machines of an engine, against one broker."""

from __future__ import annotations

from pathlib import Path

from distributed import Client

from harness.engine.host import Host, machine_id
from harness.errors import InfrastructureError
from harness.scale.agent import Agent
from harness.scale.remote import RemoteHost
from harness.traffic.spec import Target

LOOPBACK = ("127.", "localhost", "::1")


class Spread:
    """Makes a host of every Dask worker."""

    def __init__(self, client: Client, workers: dict[str, str]) -> None:
        """`workers`: the Dask workers' names, and their addresses."""
        self._client = client
        self._workers = workers

    def hosts(self, logs: Path, target: Target) -> tuple[Host, ...]:
        """Start an agent on each, and see that it reaches the broker. Raises InfrastructureError, with nothing left there."""
        logs.mkdir(parents=True, exist_ok=True)
        hosts: list[RemoteHost] = []
        try:
            for name, address in self._workers.items():
                placed = self._client.submit(
                    Agent, actor=True, workers=[address], allow_other_workers=False, pure=False
                )
                hosts.append(RemoteHost(name, placed, logs))
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
