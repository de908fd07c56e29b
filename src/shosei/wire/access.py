"""Who may ask a server of ours: by its address, by the page that asks, and by an API key. One rule for all servers."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from shosei.config import Config
from shosei.errors import InputError
from shosei.wire.accepted import ConnectionLimits
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKey, ApiKeys, bearer
from shosei.wire.connection import Headers, values_of
from shosei.wire.proxies import IpAddress, Proxies, ip_address

LOOPBACK = "127.0.0.1"
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s\[\]:@/?#]+?))\.?(?::\d{0,5})?")
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")  # as browsers send it; a file's page sends null
_SHOWN_CHARACTERS = 80  # of what a client sent
_LIMITS = ConnectionLimits()
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What the operator decides: the keys that let in; that none is asked for, though others can reach the server;
    further names of the server; the origins of pages that may ask, or ``*``; the proxies whose word is taken."""

    keys: ApiKeys = ApiKeys()  # noqa: RUF009 - an empty one never changes
    is_open: bool = False
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    proxies: Proxies = Proxies()  # noqa: RUF009 - immutable

    def __post_init__(self) -> None:
        """Raise InputError for an origin that no browser sends, and which would therefore allow nothing."""
        if strange := [origin for origin in self.origins if not _ORIGIN.fullmatch(origin)]:
            message = (
                "is no page's origin: write scheme, host and port in small letters, as in http://localhost:3000, or *"
            )
            raise InputError(f"--allow-origin '{strange[0]}' {message}", param="allow_origin")


class AccessConfig(Config):
    """Base of the configurations of verbs that listen. A key in plain text is none of it: files are read by others."""

    host: str = Field(default=LOOPBACK, description="Address to listen on; 0.0.0.0 for every one.")
    api_keys: Path | None = Field(
        default=None,
        description="File of the keys that clients may show, which 'shosei key' makes; others are refused.",
    )
    open: bool = Field(default=False, description="Let in everybody who reaches the address, without a key.")
    allow_host: list[str] = Field(default=[], description="A further name of the server in its clients' URLs.")
    allow_origin: list[str] = Field(
        default=[],
        description="A page's origin that may ask from a browser, such as http://localhost:3000; * for any.",
    )

    connections: int = Field(default=_LIMITS.connections, ge=1, description="Most connections at once, but for probes.")
    idle_s: float = Field(
        default=_LIMITS.idle_s, gt=0, description="How long a connection may be kept between two requests, in seconds."
    )
    unread_s: float = Field(
        default=_LIMITS.unread_s, gt=0, description="How long a client may leave its answer unread, in seconds."
    )

    def limits(self) -> ConnectionLimits:
        """What connections may take."""
        return ConnectionLimits(self.connections, idle_s=self.idle_s, unread_s=self.unread_s)

    def access_rules(self, api_key: str = "") -> AccessRules:
        """Who may ask; ``api_key`` lets in as well. Raises InputError for what is no key, no file of them, no proxy."""
        keys = ApiKeys(api_key, self.api_keys)
        return AccessRules(keys, self.open, self.allow_host, self.allow_origin, Proxies.of_environment())


class Access:
    """Lets requests in or refuses them. ``host`` is what was to be listened on, ``address`` the socket's own.

    ``keyless`` are paths that ask for no key, ``keyless_here`` those that ask for none of this machine's own programs,
    where nobody else reaches the server. Raises InputError where others could reach the server, and neither keys
    nor ``is_open`` say whether they may use it.
    """

    def __init__(
        self,
        rules: AccessRules = AccessRules(),
        host: str = LOOPBACK,
        address: str = LOOPBACK,
        keyless: Collection[str] = ("/health",),
        keyless_here: Collection[str] = (),
    ) -> None:
        bound = ip_address(address)
        self._is_local = bound is not None and bound.is_loopback
        if rules.is_open and rules.keys:
            raise InputError("--open asks for no key, --api-key and --api-keys do: leave one out", param="open")
        if not (self._is_local or rules.keys or rules.is_open):
            raise InputError(
                f"on {host} others reach this server: say who may use it with --api-key or --api-keys FILE, or that "
                "everybody may with --open",
                param="host",
            )
        self.keys, self.origins, self.proxies = rules.keys, rules.origins, rules.proxies
        self._keyless = {*keyless, *(keyless_here if self._is_local else ())}
        self._names = {"localhost", *(name.lower().rstrip(".") for name in (host, *rules.hosts))}
        if bound is not None and bound.is_unspecified:
            self._names.add(socket.gethostname().lower())

    def key_of(self, method: str, path: str, headers: Headers, *, json: bool) -> ApiKey | None:
        """The key that a request shows; None where it needs none. Names of ``headers`` are in lower case.

        ``json``: its body must be JSON. Raises ApiError: 400 or 421 for its Host, 403 for its Origin, 401 for its key,
        415 for its Content-Type.
        """
        self._check_page(headers, self._authority(headers))
        key = self._key(headers) if self.keys and path not in self._keyless and method != "OPTIONS" else None
        if json and not _is_json(values_of(headers, b"content-type")):
            kind = ", ".join(values_of(headers, b"content-type"))[:_SHOWN_CHARACTERS] or "missing"
            raise ApiError(415, f"Content-Type is {kind}: send a JSON object as application/json")
        return key

    def _authority(self, headers: Headers) -> str:
        """The Host of a request, if it is a name of this server.

        A page can give its own name the address of this machine (DNS rebinding), and would then be of the same origin
        as the server. It cannot do so with an address: one that is no name is this server's, by whatever way it came.
        """
        hosts = values_of(headers, b"host")
        parts = _AUTHORITY.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
        if parts is None:
            raise ApiError(400, "A request has one Host header, such as localhost:8000")
        name = parts[1] or parts[2]
        if not (name in self._names or self._is_own(ip_address(name))):
            raise ApiError(
                421,
                f"'{name[:_SHOWN_CHARACTERS]}' is no name of this server; if it is to be, start it with "
                f"--allow-host {name[:_SHOWN_CHARACTERS]}",
            )
        return hosts[0].lower()

    def _is_own(self, address: IpAddress | None) -> bool:
        return address is not None and (address.is_loopback or not self._is_local)

    def _check_page(self, headers: Headers, authority: str) -> None:
        """Raise ApiError for a page of another origin that may not ask. Browsers name a page's origin, others none."""
        for origin in values_of(headers, b"origin"):
            if "*" in self.origins or origin in self.origins or origin.lower().partition("://")[2] == authority:
                continue
            raise ApiError(
                403,
                f"Pages of {origin[:_SHOWN_CHARACTERS]} may not ask this server; if they are to, start it with "
                "--allow-origin ORIGIN",
            )

    def _key(self, headers: Headers) -> ApiKey:
        secret = bearer(" ".join(values_of(headers, b"authorization")))
        if not secret:
            message = "This server wants an API key: send 'Authorization: Bearer KEY'"
            raise ApiError(401, message, code="key_required", headers=_CHALLENGE)
        if key := self.keys.find(secret):
            return key
        message = "This server does not know the API key in 'Authorization'"
        raise ApiError(401, message, code="invalid_api_key", headers=_CHALLENGE)


def _is_json(content_types: Sequence[str]) -> bool:
    return [kind.partition(";")[0].strip().lower() for kind in content_types] == ["application/json"]
