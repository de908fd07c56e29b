"""Whom a request comes from, where a proxy stands before a server of ours and tells of its own client."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass

from shosei.errors import InputError
from shosei.wire.connection import Headers, values_of

VARIABLE = "FORWARDED_ALLOW_IPS"  # as uvicorn and gunicorn call it
_THIS_MACHINE = "127.0.0.1,::1"

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom a request comes from: an address, empty where none is known, and whether it came there over HTTPS."""

    address: str
    secure: bool = False


class Proxies:
    """The proxies whose word is taken for whom a request comes from: addresses and networks, or ``*`` for all.

    Raises InputError for what is neither.
    """

    def __init__(self, trusted: str = _THIS_MACHINE) -> None:
        self._any = trusted.strip() == "*"
        self._networks = [] if self._any else [_network(name.strip()) for name in trusted.split(",") if name.strip()]

    @classmethod
    def of_environment(cls) -> Proxies:
        """Those of ``FORWARDED_ALLOW_IPS``; without it, those of this machine. Raises InputError."""
        return cls(os.environ.get(VARIABLE, _THIS_MACHINE))

    def sender(self, peer: str, headers: Headers) -> Sender:
        """Who sent the request that came from the address ``peer``.

        Each proxy adds to ``X-Forwarded-For`` the address that it was asked from, so the last that is no proxy's is
        the sender's; what stands before it anybody may have written. What is no address counts for nothing.
        """
        if not self._trusts(peer):
            return Sender(peer)
        hops = [_host(hop.strip()) for value in values_of(headers, b"x-forwarded-for") for hop in value.split(",")]
        last = next((hop for hop in reversed(hops) if not self._trusts(hop)), hops[0] if hops else peer)
        secure = values_of(headers, b"x-forwarded-proto")[-1:] == ["https"]
        return Sender(last if ip_address(last) else peer, secure)

    def _trusts(self, name: str) -> bool:
        address = ip_address(name)
        return self._any or (address is not None and any(address in network for network in self._networks))


def ip_address(name: str) -> IpAddress | None:
    """The IP address that ``name`` is; one of IPv4 also where IPv6 wraps it."""
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        raise InputError(
            f"{VARIABLE}: '{name}' is no address: name those of proxies, networks such as 10.0.0.0/8, or * for all"
        ) from None


def _host(hop: str) -> str:
    """An address without the port that some proxies add."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
