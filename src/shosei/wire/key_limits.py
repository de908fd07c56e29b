"""How much the holder of an API key may ask: requests a minute, and under way at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKey
from shosei.wire.rate_limit import RateLimit

_RETRY_AFTER_S = 1  # where as many are under way as may be: nobody knows when the first will end


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
