"""Fifty publishers and fifty workers at once: whether they keep to their schedule, and in how much memory."""

from __future__ import annotations

import secrets
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from benchmarks.clients import Running, Task, publisher_spec, recording, worker_spec
from harness.history.read import read_log
from harness.history.records import Kind
from harness.traffic import topology
from harness.traffic.spec import Target

PAIRS = 50
RATE_PER_S = 20.0
MESSAGES = 200


def footprint(target: Target, folder: Path) -> str:
    """Run them; returns a paragraph that says how far they fell behind and what memory they took."""
    queue = f"bench-{secrets.token_hex(4)}"
    topology.declare(target, [], [topology.QueueDeclaration(queue)], [])
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        stack.callback(topology.delete, target, [queue], [])
        task = Task(target, queue, MESSAGES, 0, directory)
        publishers: list[Running] = []
        workers: list[Running] = []
        for number in range(1, PAIRS + 1):
            log = directory / f"worker-{number}.log"
            workers.append(recording("worker", task, log, replace(worker_spec(task, log, "pika"), number=number)))
            stack.callback(workers[-1].kill)
        for number in range(1, PAIRS + 1):
            log = directory / f"publisher-{number}.log"
            spec = replace(publisher_spec(task, log, "pika"), number=number, rate_per_s=RATE_PER_S)
            publishers.append(recording("publisher", task, log, spec))
            stack.callback(publishers[-1].kill)
        for process in (*workers, *publishers):
            process.await_ready()
        began = time.monotonic_ns()
        for process in publishers:
            process.go()
        memory = [psutil.Process(process.pid).memory_full_info() for process in (*workers, *publishers)]
        for process in publishers:
            process.finish()
        lag_s = max(_lag_s(directory / f"publisher-{number}.log") for number in range(1, PAIRS + 1))
        seconds = (time.monotonic_ns() - began) / 1e9
    resident, alone = median(each.rss for each in memory), median(each.pss for each in memory)
    return (
        f"{PAIRS} publishers at {RATE_PER_S:g} messages a second each and {PAIRS} workers: done after {seconds:.1f} s of "
        f"{MESSAGES / RATE_PER_S:g} s, no message later than {lag_s * 1000:.0f} ms after its time; {resident / 1e6:.0f} MB of memory a "
        f"process, {alone / 1e6:.0f} MB with what they share divided among them."
    )


def _lag_s(log: Path) -> float:
    """How far behind its schedule the latest message of a publisher was, in seconds."""
    records = read_log(log).records
    times = records["at_ns"][records["kind"] == Kind.PUBLISHED]
    due = times[0] + np.arange(len(times)) * (1e9 / RATE_PER_S)
    return float((times - due).max() / 1e9)
