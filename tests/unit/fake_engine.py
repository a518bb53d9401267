"""A Docker engine that answers as much of its API as choosing an image takes, on 127.0.0.1."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(slots=True)
class FakeEngine:
    """What it has and how it fails; `pulls` are the images that it was asked to pull."""

    images: set[str] = field(default_factory=set)
    registry: set[str] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)
    """Of every image."""
    silent: bool = False
    """A pull never answers, as on a machine whose packets to a registry are dropped."""
    endless: bool = False
    """A pull goes on and on."""
    frozen: bool = False
    """It answers a ping, and nothing about containers."""
    pulls: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def address(self) -> str:
        """For DOCKER_HOST."""
        return f"tcp://127.0.0.1:{self.port}"


@contextmanager
def serve(engine: FakeEngine) -> Iterator[FakeEngine]:
    """Serve while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if path.endswith("/_ping"):
                self._answer(200, "OK")
            elif engine.frozen and "/containers/" in path:
                engine.stopping.wait()
                self.close_connection = True
            elif path.endswith("/version"):
                self._answer(200, {"Version": "20.10.0", "ApiVersion": "1.41"})
            elif "/images/" in path:
                image = path.partition("/images/")[2].removesuffix("/json")
                known = image in engine.images or f"{image}:latest" in engine.images
                self._answer(
                    200 if known else 404,
                    {"Id": image, "Config": {"Labels": engine.labels}}
                    if known
                    else {"message": f"No such image: {image}"},
                )
            else:
                self._answer(404, {"message": f"this fake answers no {path}"})

        def do_POST(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            name, tag = query["fromImage"][0], query["tag"][0]
            image = f"{name}{'@' if ':' in tag else ':'}{tag}"
            engine.pulls.append(image)
            if engine.silent:
                engine.stopping.wait()
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while engine.endless and not engine.stopping.wait(0.05):
                self._line({"status": "Downloading"})
            if image in engine.registry:
                engine.images.add(image)
                self._line({"status": f"Downloaded newer image for {image}"})
            else:
                self._line({"error": f"manifest for {image} not found; unknown"})
            self._chunk(b"")

        def _line(self, event: dict[str, str]) -> None:
            self._chunk(json.dumps(event).encode() + b"\r\n")

        def _chunk(self, data: bytes) -> None:
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            except OSError:
                engine.stopping.set()

        def _answer(self, code: int, body: object) -> None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_request(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    engine.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield engine
    finally:
        engine.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
