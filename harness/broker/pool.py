"""The pool: a broker that one variant has used is used again by the next one of the same command, if it fits and is healthy.

There is one broker at most that waits for a user, and it goes before another one is booted: beside a variant's broker no other of the command
takes part in what is measured. A broker has one user at a time, so its counters between two looks are that user's own, and no fault
reaches another.

Each user has a virtual host of its own, removed on a thread of its own when the user gives the broker back, and before anybody has it again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.broker.lent import LentBroker, Pooled
from harness.broker.making import MakeBroker
from harness.broker.native import data_place
from harness.broker.protocol import Ability, Broker, BrokerSettings
from harness.broker.sharing import Fit, own_because
from harness.broker.virtual_host import prepare, remove
from harness.errors import BrokerError
from harness.interrupts import shielded
from harness.ledger import Ledger, remove_directory
from harness.traffic import topology
from harness.traffic.spec import Target


@dataclass(slots=True)
class _Waiting:
    """A broker that was given back, and the work of removing what its last user had."""

    pooled: Pooled
    fit: Fit
    tidying: threading.Thread


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is known of brokers of one kind once one was made."""

    name: str
    abilities: frozenset[Ability]
    reason: str


@dataclass(slots=True)
class BrokerPool:
    """The brokers of one command. Safe to use from several threads. What it makes is its own to end: `close` leaves nothing behind."""

    _ledger: Ledger | None = None
    _folder: Path | None = None
    _waiting: _Waiting | None = None
    _all: list[Pooled] = field(default_factory=list)
    """Those that may run."""
    _kinds: dict[Fit, _Kind] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _closed: bool = False

    def maker(self, make: MakeBroker, backend: str) -> MakeBroker:
        """Return what lends the brokers that `make` makes for a backend, as it was asked for."""

        def lend(settings: BrokerSettings, ledger: Ledger) -> tuple[Broker, str]:
            own = own_because(fresh=settings.fresh, config=settings.config)
            fit = Fit.of_settings(backend, settings)
            with self._lock:
                kind = self._kinds.get(fit)
            made: Broker | None = None
            if kind is None and not own:
                made, reason = make(*self._for_pool(settings))
                kind = _Kind(made.name, made.abilities, reason)
                if Ability.CONTROL in made.abilities:
                    with self._lock:
                        self._kinds[fit] = kind
                else:
                    own = "as it cannot be asked whether another one left it healthy"
            if own or kind is None:
                broker, reason = make(settings, ledger)
                return broker, f"{reason}; a broker of its own, {own}"

            def boot() -> Broker:
                return made or make(*self._for_pool(settings))[0]

            loan = _Loan(self, fit, settings.virtual_host, boot)
            return LentBroker(kind.name, kind.abilities, loan, settings.spoiled_by), kind.reason

        return lend

    def close(self) -> None:
        """End all brokers and forget them. Raises BrokerError for one that cannot be ended: a sweep knows of it."""
        problems: list[str] = []
        with shielded():
            with self._lock:
                self._closed = True
                waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.tidying.join()
            for pooled in tuple(self._all):
                try:
                    self.end(pooled)
                except (BrokerError, OSError) as error:
                    problems.append(str(error))
            if not problems and (left := self._forget()):
                problems.append(left)
        if problems:
            raise BrokerError("; ".join(problems))

    def _forget(self) -> str:
        """Remove the logs, and what is written down; returns what cannot be removed, and stays written down for a sweep."""
        with self._lock:
            if self._folder is not None and self._folder.exists():
                with suppress(OSError):
                    remove_directory(self._folder)
                if self._folder.exists():
                    return f"{self._folder} could not be removed"
            if self._ledger is not None:
                self._ledger.close()
            self._folder = self._ledger = None
        return ""

    def _for_pool(self, settings: BrokerSettings) -> tuple[BrokerSettings, Ledger]:
        """Return what a broker that outlives a run is made with: a name, a folder and a ledger of the pool's own."""
        with self._lock, shielded():
            if self._ledger is None:
                self._ledger = Ledger(f"brokers-{secrets.token_hex(6)}")
            if self._folder is None:
                try:
                    self._folder = self._ledger.make_directory(data_place(), "brokers")
                except OSError as error:
                    raise BrokerError(f"no folder for the brokers' logs could be made: {error}") from error
            name = f"{self._ledger.run_id}-{secrets.token_hex(2)}"
            return replace(settings, run_id=name, directory=self._folder / name), self._ledger

    # What a loan does.

    def fitting(self, fit: Fit, virtual_host: str) -> tuple[Pooled | None, str]:
        """Return the broker that waits, ready for a new user if it fits and is healthy; else it is ended, and the reason returned."""
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is None:
            return None, ""
        waiting.tidying.join()
        pooled = waiting.pooled
        why = pooled.problem or ("" if waiting.fit == fit else "its settings are others")
        if not why:
            try:
                why = _made_ready(pooled, virtual_host)
            except BrokerError as error:
                why = str(error)
        if not why:
            return pooled, ""
        try:
            self.end(pooled)
        except (BrokerError, OSError) as error:
            why = f"{why}, and it could not be ended: {error}"  # `close` tries again, and says so
        return None, why

    def add(self, pooled: Pooled) -> None:
        """Write down that a broker may run from now on."""
        with self._lock:
            if self._closed:
                raise BrokerError("the command ends, and boots no broker any more")
            self._all.append(pooled)

    def wait_for_next(self, pooled: Pooled, fit: Fit) -> None:
        """Have a broker wait for its next user, and remove what the last one had meanwhile."""
        tidying = threading.Thread(target=_tidy, args=(pooled,), name="tidy", daemon=True)
        with self._lock:
            wanted = not self._closed and self._waiting is None
            if wanted:
                self._waiting = _Waiting(pooled, fit, tidying)
                tidying.start()
        if not wanted:
            self.end(pooled)

    def end(self, pooled: Pooled) -> None:
        """End a broker and remove all it made. Raises BrokerError."""
        pooled.broker.destroy()
        with self._lock:
            if pooled in self._all:
                self._all.remove(pooled)


def _made_ready(pooled: Pooled, virtual_host: str) -> str:
    """Make the next user's virtual host on a broker that waited; returns why it cannot have the broker, else nothing. Raises BrokerError."""
    broker, booted = pooled.broker, pooled.booted
    if booted is None:
        return "it cannot be asked"
    problem = prepare(broker, virtual_host).problem(booted, len(broker.nodes))
    if not problem:
        _round_trip(broker, virtual_host)
        pooled.virtual_host = virtual_host
        pooled.before = {node: len(log) for node, log in broker.logs().items()}
        pooled.users += 1
        pooled.origin = (
            f"the broker of {pooled.users - 1} earlier variant{'s' * (pooled.users > 2)}, in a virtual host of its own"
        )
    return problem


def _round_trip(broker: Broker, virtual_host: str) -> None:
    for node in range(len(broker.nodes)):
        endpoint = broker.endpoint(node)
        topology.round_trip(
            Target(
                ((endpoint.host, endpoint.port),),
                username=endpoint.username,
                password=endpoint.password,
                virtual_host=virtual_host,
                tls=endpoint.tls,
            )
        )


def _tidy(pooled: Pooled) -> None:
    """Remove the virtual host of the last user; a broker where that fails has no further one."""
    virtual_host, pooled.virtual_host = pooled.virtual_host, None
    try:
        if virtual_host is not None:
            remove(pooled.broker, virtual_host)
    except Exception as error:  # on a thread of its own: whatever it is, it is why nobody has the broker again
        pooled.problem = f"the last variant's virtual host could not be removed: {error}"


@dataclass(frozen=True, slots=True)
class _Loan:
    """One variant's way to a broker of the pool; see `harness.broker.lent.Lender`."""

    pool: BrokerPool
    fit: Fit
    virtual_host: str
    boot: Callable[[], Broker]

    def take(self) -> Pooled:
        """Take the broker that waits, or make one."""
        pooled, why = self.pool.fitting(self.fit, self.virtual_host)
        if pooled is None:
            origin = "booted for this variant" + (f", as the one before could not be used again: {why}" if why else "")
            pooled = Pooled(self.boot(), origin)
            self.pool.add(pooled)
        return pooled

    def start(self, pooled: Pooled) -> None:
        """Boot it, and make the virtual host; one that cannot be asked for that is its first user's alone."""
        pooled.broker.start()
        pooled.users = 1
        try:
            pooled.booted = prepare(pooled.broker, self.virtual_host)
            pooled.virtual_host = self.virtual_host
        except BrokerError as error:
            pooled.problem = pooled.problem or f"it cannot be asked: {error}"
            pooled.origin += f", and for it alone, as it cannot be asked: {error}"

    def give_back(self, pooled: Pooled) -> None:
        """Have it wait for its next user, or end it."""
        if pooled.problem:
            self.pool.end(pooled)
        else:
            self.pool.wait_for_next(pooled, self.fit)
