"""API keys that a server of ours knows: each has a name, is kept as its hash, and may have limits.

A key is random and has at least 128 bits, so that a plain SHA-256 of it cannot be turned back; passwords, which people
choose, would need a slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import re
import secrets
import time
import tomllib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from shosei.errors import InputError
from shosei.text_files import read_text
from shosei.wire.api_error import ApiError

LEAST_CHARACTERS = 16
_PREFIX = "shosei-"  # so that scanners for secrets, and people, know one when they see it
_RANDOM_BYTES = 32
_NAME = "[A-Za-z0-9_-]{1,64}"  # a bare key of TOML
_SINGLE = "api-key"  # the name of the one that has no file
_LOOK_AGAIN_S = 1.0
_RETRY_AFTER_S = 1  # where as many are under way as may be: nobody knows when the first will end
_MOST_NAMES = 10_000  # that a rate limit remembers, about 2 MB
_WINDOW_S = 60.0  # of a rate limit
_MAKE = "'shosei key --name NAME' makes one, and the lines to append"

_log = logging.getLogger(__name__)
_Name = Annotated[str, msgspec.Meta(pattern=f"^{_NAME}$")]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that is known by its SHA-256; ``name`` is what logs have of it. None: no limit."""

    name: str
    digest: bytes
    requests_per_minute: int | None = None
    concurrent: int | None = None  # requests under way at once


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    requests_per_minute: _Count | None = None
    concurrent: _Count | None = None


class ApiKeys:
    """``single`` and the keys of ``file``, which is read again within a second of its change.

    Where the changed file is no file of keys, those of before stay, and standard error says why. ``hashed``: lines of
    plain keys are refused. Raises InputError for a key or a file that is none.
    """

    def __init__(self, single: str = "", file: Path | None = None, *, hashed: bool = True) -> None:
        self._single = [ApiKey(_SINGLE, digest_of(checked(single, "--api-key")))] if single else []
        self._file, self._hashed = file, hashed
        of_file = read_keys(file, hashed=hashed) if file else []
        if file and not of_file:
            raise InputError(f"{file} holds no keys: {_MAKE}")
        self._keys = self._single + of_file
        self._version, self._looked = self._stamp(), time.monotonic()

    def __bool__(self) -> bool:
        """Whether there can be any."""
        return bool(self._single or self._file)

    def find(self, secret: str) -> ApiKey | None:
        """The key that ``secret`` is. All are compared, each in constant time, so that the time taken tells nothing."""
        self._follow()
        digest = digest_of(secret)
        matches = [key for key in self._keys if hmac.compare_digest(key.digest, digest)]
        return matches[0] if matches else None

    def _follow(self) -> None:
        """Read the file again if it has changed since it was last looked at."""
        now = time.monotonic()
        if self._file is None or now - self._looked < _LOOK_AGAIN_S:
            return
        self._looked, version = now, self._stamp()
        if version == self._version:
            return
        self._version = version
        try:
            self._keys = self._single + read_keys(self._file, hashed=self._hashed)
        except InputError as error:
            _log.error("the keys of before stay: %s", error)

    def _stamp(self) -> tuple[int, int, int]:
        """What changes with the file; zeros where it is not there."""
        try:
            status = self._file.stat() if self._file else None
        except OSError:
            status = None
        return (status.st_mtime_ns, status.st_size, status.st_ino) if status else (0, 0, 0)


class RateLimit:
    """How often somebody may do something, in bounded memory: each name may pass ``per_minute`` times at
    once, and again as they come back, evenly over a minute.

    The generic cell rate algorithm (ITU-T I.371), which is a token bucket that needs one number a name: when its bucket
    will be full again. A full bucket is forgotten; of more than 10,000 others, the one that was used longest ago.
    """

    def __init__(self, per_minute: int) -> None:
        self._interval = _WINDOW_S / per_minute
        self._full_at: OrderedDict[str, float] = OrderedDict()  # in order of their last use

    def wait_s(self, name: str) -> int:
        """Take one of ``name``'s turns: 0; where it has none left, the whole seconds until it has one."""
        now = time.monotonic()
        full_at = max(now, self._full_at.get(name, now)) + self._interval
        if (excess := full_at - now - _WINDOW_S) > 1e-6:
            return math.ceil(excess)
        self._full_at[name] = full_at
        self._full_at.move_to_end(name)
        while len(self._full_at) > _MOST_NAMES or next(iter(self._full_at.values())) <= now:
            self._full_at.popitem(last=False)
        return 0


@dataclass(slots=True)
class _Use:
    minute: RateLimit | None
    running: int = 0


class KeyLimits:
    """Counts what each key uses in this process. A key whose limits have changed begins anew."""

    def __init__(self) -> None:
        self._uses: dict[ApiKey, _Use] = {}

    @contextmanager
    def request(self, key: ApiKey | None) -> Iterator[None]:
        """A request of ``key`` is under way for the length of the block. Raises ApiError (429) where it may not be."""
        if key is None:
            yield
            return
        use = self._use(key)
        if key.concurrent and use.running >= key.concurrent:
            raise ApiError(
                429,
                f"The key '{key.name}' may have {key.concurrent} requests under way at once: wait for one of them",
                retry_after_s=_RETRY_AFTER_S,
            )
        if use.minute and (wait_s := use.minute.wait_s(key.name)):
            raise ApiError(
                429,
                f"The key '{key.name}' may ask {key.requests_per_minute} times a minute: try again in {wait_s} s",
                retry_after_s=wait_s,
            )
        use.running += 1
        try:
            yield
        finally:
            use.running -= 1

    def _use(self, key: ApiKey) -> _Use:
        if key not in self._uses:
            self._uses[key] = _Use(RateLimit(key.requests_per_minute) if key.requests_per_minute else None)
        return self._uses[key]


def new_key() -> str:
    """A key of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def entry_of(key: ApiKey) -> str:
    """The lines of a file of keys that let ``key`` in. Raises InputError for a name that is none."""
    if not re.fullmatch(_NAME, key.name):
        raise InputError(f"'{key.name}' is no name of a key: up to 64 letters, digits, '-' and '_'")
    limits = {"requests_per_minute": key.requests_per_minute, "concurrent": key.concurrent}
    lines = [f"[{key.name}]", f'sha256 = "{key.digest.hex()}"']
    return "\n".join([*lines, *(f"{name} = {limit}" for name, limit in limits.items() if limit), ""])


def read_keys(path: Path, *, hashed: bool = True) -> list[ApiKey]:
    """The keys of a TOML file with a table each, or, unless they must be ``hashed``, plain ones, one a line.

    Lines of plain keys that begin with # are comments. A file without keys is one that lets nobody in. Raises
    InputError.
    """
    text = read_text(path)
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if lines and lines[0][1].startswith("["):
        return _tables(path, text)
    if lines and hashed:
        raise InputError(f"{path} is no file of hashed keys: {_MAKE}")
    return [ApiKey(f"line {number}", digest_of(checked(line, f"{path}:{number}"))) for number, line in lines]


def _tables(path: Path, text: str) -> list[ApiKey]:
    try:
        entries = msgspec.convert(tomllib.loads(text), dict[_Name, _Entry])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{path} is no file of keys: {error}") from None
    keys = [
        ApiKey(name, bytes.fromhex(entry.sha256), entry.requests_per_minute, entry.concurrent)
        for name, entry in entries.items()
    ]
    names: dict[bytes, str] = {}
    for key in keys:
        if (other := names.setdefault(key.digest, key.name)) != key.name:
            raise InputError(f"{path}: '{other}' and '{key.name}' are one key: take one of them out")
    return keys


def checked(key: str, where: str) -> str:
    """``key``, if it can be one. Raises InputError that does not repeat it."""
    if len(key) < LEAST_CHARACTERS or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(
            f"{where}: a key has at least {LEAST_CHARACTERS} ASCII characters and no spaces; 'openssl rand -hex 32' "
            "makes one"
        )
    return key


def digest_of(key: str) -> bytes:
    """The SHA-256 of ``key``."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def bearer(authorization: str) -> str:
    """The key in an ``Authorization`` header (RFC 6750, 2.1); empty if it holds none."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
