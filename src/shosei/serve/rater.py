"""Who rates: the holder of a key and the user whom it names, or the browser that a signed cookie knows again."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import cookie_parser
from starlette.responses import Response

from shosei.log.raters import Raters
from shosei.log.secret import RunSecret
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKeys, bearer
from shosei.wire.feedback import Feedback

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


class RaterIdentity:
    """Tells who sent a rating. ``by_address``: without a key, a network is one rater, and no cookie is set."""

    def __init__(self, secret: RunSecret, keys: ApiKeys, by_address: bool) -> None:
        self._secret, self._raters = secret, Raters(secret)
        self._keys, self._by_address = keys, by_address

    def of(self, feedback: Feedback, headers: Mapping[str, str], address: str) -> Rater:
        """The rater of ``feedback``. Raises ApiError (401) for an unknown key, or a user named without one."""
        network = _network(address)
        if key := bearer(headers.get("authorization", "")):
            if not self._keys.find(key):
                raise ApiError(401, _UNKNOWN_KEY, code="invalid_api_key")
            return Rater(self._raters.of_key(key, feedback.user or ""), network, has_key=True)
        if feedback.user:
            raise ApiError(401, _USER_NEEDS_KEY, param="user", code="key_required")
        if self._by_address:
            return Rater(self._raters.address(network), network)
        return self._browser(feedback.request, headers.get("cookie", ""), network)

    def _browser(self, answer: str, cookies: str, network: str) -> Rater:
        """The browser of the cookie. One that has none, or a forged one, gets it by the first answer that it rates.

        So whoever throws its cookies away is not a new rater each time: every one costs an answer of its own.
        """
        value = cookie_parser(cookies).get(COOKIE, "")
        token, signature = value[:_TOKEN_CHARACTERS], value[_TOKEN_CHARACTERS:]
        if len(signature) == _SIGNATURE_CHARACTERS and self._secret.has_signed(signature, _PURPOSE, token):
            return Rater(self._raters.browser(token), network)
        token = self._secret.sign("first", answer, _TOKEN_CHARACTERS)
        signature = self._secret.sign(_PURPOSE, token, _SIGNATURE_CHARACTERS)
        return Rater(self._raters.browser(token), network, cookie=token + signature)


_UNKNOWN_KEY = (
    "This server does not know the key in 'Authorization': send one of 'shosei serve --api-keys FILE' or "
    "'--feedback-keys FILE', or none"
)
_USER_NEEDS_KEY = (
    "Only the holder of a key may name a user: send 'Authorization: Bearer KEY', of 'shosei serve --api-keys FILE' or "
    "'--feedback-keys FILE'; without 'user' a cookie tells browsers apart"
)


def set_cookie(response: Response, value: str, *, secure: bool) -> None:
    """Have the browser keep its cookie: scripts cannot read it, and no other site's pages send it."""
    response.set_cookie(COOKIE, value, max_age=_COOKIE_DAYS * 86_400, secure=secure, httponly=True, samesite="lax")


def _network(address: str) -> str:
    """An IPv4 address, or the network of a house in IPv6."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if known.version == 4:
        return str(known)
    if mapped := known.ipv4_mapped:
        return str(mapped)
    return str(ipaddress.ip_network((known, _IPV6_HOUSE), strict=False))
