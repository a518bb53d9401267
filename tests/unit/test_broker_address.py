"""The address of a broker is read strictly, before anything is started, and no part of it is repeated where it is wrong."""

from __future__ import annotations

import pytest

from harness.broker.address import parse_url
from harness.errors import UsageError

SECRET = "s3cr/t@x"  # noqa: S105 - made up
SECRET_QUOTED = "s3cr%2Ft%40x"  # noqa: S105 - made up


def test_an_address_is_read_with_its_escapes() -> None:
    endpoint = parse_url(f"amqps://a%40b:{SECRET_QUOTED}@broker.example:5999/%2Forders")
    assert (endpoint.host, endpoint.port, endpoint.tls) == ("broker.example", 5999, True)
    assert (endpoint.username, endpoint.password, endpoint.virtual_host) == ("a@b", SECRET, "/orders")


@pytest.mark.parametrize(
    ("url", "port", "virtual_host"),
    [
        ("amqp://h", 5672, "/"),
        ("amqp://h/", 5672, "/"),
        ("amqps://h", 5671, "/"),
        ("amqp://h/%2F", 5672, "/"),
        ("amqp://[::1]:5673/orders", 5673, "orders"),
    ],
)
def test_what_an_address_leaves_out_has_a_default(url: str, port: int, virtual_host: str) -> None:
    endpoint = parse_url(url)
    assert (endpoint.port, endpoint.virtual_host) == (port, virtual_host)
    assert (endpoint.username, endpoint.password) == ("guest", "guest")


@pytest.mark.parametrize(
    "url", ["amqp://[::1]:5673/orders", "amqps://broker.example/", "amqp://[fe80::1%25eth0]:5672/"]
)
def test_an_address_that_was_read_is_written_so_that_it_can_be_read_again(url: str) -> None:
    endpoint = parse_url(url)
    assert parse_url(endpoint.url.replace("%eth0", "%25eth0")) == endpoint


PORT = "has a port that is not a number from 1 to 65535"
HOST = "has a host that is no host name"


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://ann:hunter2@h", "does not begin with amqp:// or amqps://"),
        ("ann:hunter2@h", "does not begin with amqp:// or amqps://"),
        ("amqp://", "names no host"),
        ("amqp://:5672/", "names no host"),
        ("amqp://ann:hunter2@/", "names no host"),
        ("amqp://ann:hunter2@h:port/", PORT),
        ("amqp://ann:hunter2@h:99999/", PORT),
        ("amqp://ann:hunter2@h:65536/", PORT),
        ("amqp://ann:hunter2@h:0/", PORT),
        ("amqp://ann:hunter2@h:-1/", PORT),
        ("amqp://ann:hunter2@h:\u0661/", PORT),
        ("amqp://ann:hunter2@h:5672:5672/", PORT),
        ("amqp://ann:hunter2@::1:5672/", PORT),
        ("amqp://ann:hunter2@[::1/", "cannot be taken apart"),
        ("amqp://ann:hunter2@[::1]5672/", PORT),
        ("amqp://ann:hunter2@[::1:5672]x/", PORT),
        ("amqp://ann:hunter2@[g::1]/", "cannot be taken apart|has no IPv6 address in its brackets"),
        ("amqp://ann:hunter2@[1:2]/", "cannot be taken apart|has no IPv6 address in its brackets"),
        ("amqp://ann:hunter2#@h/", "has a # "),
        ("amqp://ann:hunter2?@h/", r"has a \? "),
        ("amqp://ann:hun/ter2@h/", "has a / before the host|has a port"),
        ("amqp://h/?heartbeat=10", r"has a \? "),
        ("amqp://ann:hunter2\u2100@h/", "cannot be taken apart"),
        ("amqp://ann:hunter%2@h/", "has a % that no two hexadecimal digits follow"),
        ("amqp://ann:hunter2@h/%zz", "has a % that no two hexadecimal digits follow"),
        ("amqp://ann:%ff@h/", "has a password whose escapes are not UTF-8"),
        ("amqp://%fe:hunter2@h/", "has a user whose escapes are not UTF-8"),
        ("amqp://ann:hunter2%00@h/", "has a control character in its password"),
        ("amqp://a%0Ann:hunter2@h/", "has a control character in its user"),
        ("amqp://ann:hunter2@h/%1b", "has a control character in its virtual host"),
        (f"amqp://ann:hunter2@h/{'v' * 256}", "has a virtual host of more than 255 bytes"),
        (f"amqp://ann:{'hunter2' * 40}@h/", "has a password of more than 255 bytes"),
        ("amqp://ann:hunter2@my host/", "holds a space or a control character"),
        ("amqp://ann:hunter2@h\n/", "holds a space or a control character"),
        (" amqp://ann:hunter2@h/", "holds a space or a control character"),
        ("amqp://ann:hunter2@h,i/", HOST),
        ("amqp://ann:hunter2@-h/", HOST),
        ("amqp://ann:hunter2@h..i/", HOST),
        (f"amqp://ann:hunter2@{'h' * 64}/", HOST),
        (f"amqp://ann:hunter2@{'h.' * 130}/", HOST),
        ("amqp://ann:hunter2@h%20i/", HOST),
    ],
)
def test_a_wrong_address_is_refused_with_what_is_wrong_and_without_its_password(url: str, wrong: str) -> None:
    with pytest.raises(
        UsageError, match=f"^--url: the broker's address ({wrong}).*it must look like amqp://"
    ) as caught:
        parse_url(url, "--url")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
