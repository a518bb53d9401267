"""A proxy that passes everything on, as a program of its own: `python -m tests.unit.passing_proxy`; its task is ignored."""

from __future__ import annotations

from harness.proxy.control import Commanded
from harness.proxy.link import Link, Way
from harness.proxy.loop import Loop
from harness.proxy.proxy import Proxy


class Passing:
    """Passes everything on."""

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self.link = link
        self.over = False

    def received(self, way: Way, data: memoryview) -> None:
        self.link.send(way, data)

    def ended(self) -> None:
        self.over = True


if __name__ == "__main__":
    commanded, loop = Commanded(), Loop()
    commanded.serve(loop, Proxy(loop, Passing))
