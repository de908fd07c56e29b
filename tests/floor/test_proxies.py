"""Whom a request comes from, as proxies tell it; uvicorn's own reading of the same headers is the oracle."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from shosei.errors import InputError
from shosei.wire.connection import Headers
from shosei.wire.proxies import Proxies, Sender


def forwarded(*hops: str, proto: str = "") -> Headers:
    fields = [(b"x-forwarded-for", hop.encode()) for hop in hops]
    return fields + ([(b"x-forwarded-proto", proto.encode())] if proto else [])


@pytest.mark.parametrize(
    ("trusted", "peer", "hops", "address"),
    [
        ("", "192.0.2.9", ["192.0.2.1"], "192.0.2.9"),  # anybody may write the header
        ("", "127.0.0.1", ["192.0.2.1"], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", "::ffff:127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1", ["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1", ["198.51.100.7", "192.0.2.1"], "192.0.2.1"),  # one that adds a field of its own
        ("127.0.0.1, 10.0.0.0/8", "10.1.2.3", ["198.51.100.7, 192.0.2.1, 10.9.9.9"], "192.0.2.1"),
        ("10.0.0.0/8", "10.1.2.3", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("*", "203.0.113.5", ["198.51.100.7, 192.0.2.1"], "198.51.100.7"),
        ("127.0.0.1", "127.0.0.1", ["192.0.2.1:50312"], "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1", ["[2001:db8::1]:50312"], "2001:db8::1"),
        ("127.0.0.1", "127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", "127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["192.0.2.1, "], "127.0.0.1"),
        ("*", "", ["192.0.2.1"], "192.0.2.1"),
    ],
)
def test_the_sender_is_the_last_that_is_no_proxy(trusted: str, peer: str, hops: list[str], address: str) -> None:
    assert Proxies(trusted).sender(peer, forwarded(*hops)) == Sender(address)


def test_https_is_believed_of_proxies_only() -> None:
    told = forwarded("192.0.2.1", proto="https")
    assert Proxies().sender("127.0.0.1", told).secure
    assert Proxies().sender("::1", told).secure
    assert not Proxies().sender("192.0.2.9", told).secure
    assert not Proxies().sender("127.0.0.1", forwarded("192.0.2.1", proto="http")).secure


def test_it_is_as_uvicorn_reads_them() -> None:
    chance = random.Random(5)
    places = ["127.0.0.1", "10.0.0.2", "10.0.7.1", "192.0.2.1", "198.51.100.7", "2001:db8::1"]
    for _ in range(300):
        trusted = ",".join(chance.sample(["127.0.0.1", "10.0.0.0/16", "192.0.2.1"], chance.randint(1, 3)))
        trusted = chance.choice([trusted, trusted, "*"])
        peer = chance.choice(places)
        headers = forwarded(
            *(", ".join(chance.choices(places, k=chance.randint(1, 3))) for _ in range(chance.randint(0, 2))),
            proto=chance.choice(["", "http", "https"]),
        )
        scope: dict[str, Any] = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": headers}

        async def told(scope: Any, _receive: Any, _send: Any) -> None:
            pass

        asyncio.run(ProxyHeadersMiddleware(told, trusted)(scope, None, None))  # type: ignore[arg-type]
        assert Proxies(trusted).sender(peer, headers) == Sender(scope["client"][0], scope["scheme"] == "https")


def test_what_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.1, nginx")
    with pytest.raises(InputError, match="FORWARDED_ALLOW_IPS: 'nginx' is no address"):
        Proxies.of_environment()
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.0/8")
    assert Proxies.of_environment().sender("10.0.0.1", forwarded("192.0.2.1")) == Sender("192.0.2.1")
    monkeypatch.delenv("FORWARDED_ALLOW_IPS")
    assert Proxies.of_environment().sender("127.0.0.1", forwarded("192.0.2.1")) == Sender("192.0.2.1")
