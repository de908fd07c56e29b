"""Who rates: the holder of a key and the user whom it names, or the browser that a signed cookie knows again."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shosei.log.raters import Raters
from shosei.log.secret import RunSecret
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKeys, bearer
from shosei.wire.proxies import ip_address

COOKIE = "shosei_rater"
_COOKIE_DAYS = 180
_PURPOSE = "cookie"
_TOKEN_CHARACTERS = _SIGNATURE_CHARACTERS = 32
_IPV6_HOUSE = 64  # bits that one house has in common


@dataclass(frozen=True, slots=True)
class Rater:
    """One rater. ``network`` is where the request came from; ``cookie`` is to be set, where it is not empty."""

    hash: str
    network: str
    has_key: bool = False
    cookie: str = ""

    def set_cookie(self, *, secure: bool) -> str:
        """The value of a Set-Cookie header (RFC 6265) that has the browser keep its cookie: scripts cannot read it, and
        no other site's pages send it. ``secure``: over HTTPS alone."""
        kept = f"{COOKIE}={self.cookie}; HttpOnly; Max-Age={_COOKIE_DAYS * 86_400}; Path=/; SameSite=lax"
        return f"{kept}; Secure" if secure else kept


class RaterIdentity:
    """Tells who sent a rating. ``by_address``: without a key, a network is one rater, and no cookie is set."""

    def __init__(self, secret: RunSecret, keys: ApiKeys, by_address: bool) -> None:
        self._secret, self._raters = secret, Raters(secret)
        self._keys, self._by_address = keys, by_address

    def of(self, answer: str, user: str | None, headers: Mapping[str, str], address: str) -> Rater:
        """Who rates ``answer``, for the ``user`` that a key's holder names. Names of ``headers`` are in lower case.

        Raises ApiError (401) for an unknown key, or a user named without one.
        """
        network = network_of(address)
        if key := bearer(headers.get("authorization", "")):
            if not self._keys.find(key):
                raise ApiError(401, _UNKNOWN_KEY, code="invalid_api_key")
            return Rater(self._raters.of_key(key, user or ""), network, has_key=True)
        if user:
            raise ApiError(401, _USER_NEEDS_KEY, param="user", code="key_required")
        if self._by_address:
            return Rater(self._raters.address(network), network)
        return self._browser(answer, headers.get("cookie", ""), network)

    def _browser(self, answer: str, cookies: str, network: str) -> Rater:
        """The browser of the cookie. One that has none, or a forged one, gets it by the first answer that it rates.

        So whoever throws its cookies away is not a new rater each time: every one costs an answer of its own.
        """
        if token := browser_of(self._secret, _cookie(cookies)):
            return Rater(self._raters.browser(token), network)
        token = self._secret.sign("first", answer, _TOKEN_CHARACTERS)
        signature = self._secret.sign(_PURPOSE, token, _SIGNATURE_CHARACTERS)
        return Rater(self._raters.browser(token), network, cookie=token + signature)


_UNKNOWN_KEY = (
    "This server does not know the key in 'Authorization': send one of '--api-keys FILE' or '--feedback-keys FILE', "
    "or none"
)
_USER_NEEDS_KEY = (
    "Only the holder of a key may name a user: send 'Authorization: Bearer KEY', of '--api-keys FILE' or "
    "'--feedback-keys FILE'; without 'user' a cookie tells browsers apart"
)


def browser_of(secret: RunSecret, cookie: str) -> str:
    """What the value of a cookie says of its browser; empty for one that ``secret`` did not sign."""
    token, signature = cookie[:_TOKEN_CHARACTERS], cookie[_TOKEN_CHARACTERS:]
    is_whole = len(signature) == _SIGNATURE_CHARACTERS
    return token if is_whole and secret.has_signed(signature, _PURPOSE, token) else ""


def hashes_of(secret: RunSecret, name: str, keys: Sequence[str] = ()) -> set[str]:
    """The raters whom ``name`` may mean: a hash as the log has it, the value of a cookie, a user whom the holder of
    one of ``keys`` named, a name in a file of ratings, a network address."""
    raters = Raters(secret)
    ways = {name, raters.user(name), raters.address(network_of(name)), *(raters.of_key(key, name) for key in keys)}
    browser = browser_of(secret, name)
    return ways | ({raters.browser(browser)} if browser else set())


def _cookie(header: str) -> str:
    """The value of our cookie among those that a browser sends."""
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), "")


def network_of(address: str) -> str:
    """An IPv4 address, or the network of a house in IPv6."""
    ip = ip_address(address)
    if ip is None:
        return address
    return str(ip if ip.version == 4 else ipaddress.ip_network((ip, _IPV6_HOUSE), strict=False))
