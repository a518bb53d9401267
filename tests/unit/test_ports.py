"""A port that is reserved is nobody else's, and still its listener's."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from harness.broker import ports
from harness.broker.ports import HOST, Reservation, free_port
from harness.errors import BrokerError


@pytest.fixture
def reservation() -> Iterator[Reservation]:
    reservation = Reservation()
    yield reservation
    reservation.release()


def listen(port: int) -> socket.socket:
    """Listen as epmd and RabbitMQ do."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen()
    return listener


def test_the_listener_can_have_the_port_again_and_again(reservation: Reservation) -> None:
    for _ in range(3):
        with listen(reservation.port), socket.create_connection((HOST, reservation.port)):
            pass


def test_nobody_answers_while_the_listener_is_down(reservation: Reservation) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, reservation.port))


def test_nobody_else_gets_a_reserved_port(reservation: Reservation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LOW", reservation.port)
    monkeypatch.setattr(ports, "HIGH", reservation.port + 1)
    with pytest.raises(BrokerError, match="no free port found"):
        free_port()
    reservation.release()
    assert free_port() == reservation.port


def test_a_port_that_somebody_listens_on_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = free_port()
    monkeypatch.setattr(ports, "LOW", taken)
    monkeypatch.setattr(ports, "HIGH", taken + 1)
    with listen(taken), pytest.raises(BrokerError, match="no free port found"):
        Reservation()


def test_ports_are_below_those_that_clients_are_given(reservation: Reservation) -> None:
    assert 1024 < reservation.port < 32768
