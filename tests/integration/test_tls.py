"""A broker behind TLS, with a certificate that only a run which is told of its authority trusts."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.broker.erlang import evaluate
from harness.broker.ports import free_port
from harness.broker.protocol import BrokerSettings
from harness.broker.select import select
from harness.ledger import Ledger
from tests.integration.backends import ALONE, require
from tests.required import lacking

pytestmark = [pytest.mark.native, ALONE]
SCENARIO = """
name: behind TLS
publishers: {count: 2, messages: 1500, body: 20KiB, confirms: {window: 50}}
workers: {count: 2, prefetch: 20, work: 1ms}
timeline:
  - after: {processed: 500}
    kill: {worker: holding deliveries, back_after: 300ms}
expect: {lost: 0, redelivered: ">= 1"}
"""


@dataclass(frozen=True, slots=True)
class Secured:
    """Where it listens, and the certificate to trust."""

    url: str
    certificate: Path


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    require("native")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = certified(folder)
    port = free_port()
    run_id = f"test-{secrets.token_hex(4)}"
    ledger = Ledger(run_id)
    broker = select("native", BrokerSettings(run_id, folder / "broker"), ledger).broker
    # A scenario may not choose listeners: this one is added to a node that runs.
    options = f'[{{certfile, "{certificate}"}}, {{keyfile, "{key}"}}]'
    try:
        broker.start()
        evaluate(broker, f'rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}}}, {options}, 10)')
        yield Secured(f"amqps://guest:guest@localhost:{port}/", certificate)
    finally:
        broker.destroy()
        ledger.close()


def certified(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that vouches for itself, and its key; readable for the broker's user."""
    openssl = shutil.which("openssl") or lacking("openssl is not installed")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    key.chmod(0o644)
    return certificate, key


def run(secured: Secured, folder: Path, *options: str, trusting: bool = True) -> subprocess.CompletedProcess[str]:
    (folder / "tls.yaml").write_text(SCENARIO)
    environment = os.environ | ({"SSL_CERT_FILE": str(secured.certificate)} if trusting else {})
    command = [sys.executable, "-m", "harness", "run", "tls.yaml", "--broker", secured.url, "--json", *options]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("client", ["fast", pytest.param("pika", marks=pytest.mark.slow)])
def test_a_run_behind_tls_comes_out_as_any_other(secured: Secured, tmp_path: Path, client: str) -> None:
    done = run(secured, tmp_path, "--client", client)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    (variant,) = verdict["variants"]
    assert variant["counts"]["fates"]["processed"] == variant["counts"]["published"] == 3000
    assert variant["counts"]["corrupt"] == 0


def test_a_certificate_that_nobody_vouches_for_is_told_in_one_sentence(secured: Secured, tmp_path: Path) -> None:
    done = run(secured, tmp_path, trusting=False)
    assert done.returncode == 3
    (variant,) = json.loads(done.stdout)["variants"]
    assert "certificate" in " ".join(variant["reasons"])
    assert "Traceback" not in done.stderr
