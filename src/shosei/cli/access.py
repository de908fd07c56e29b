"""Options of who may ask a server that a verb starts, and the verb that makes a key."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from shosei.cli.common import JsonOption, result, say

KEY_VARIABLE = "SHOSEI_API_KEY"

ApiKeyOption = Annotated[
    str,
    typer.Option(
        "--api-key",
        envvar=KEY_VARIABLE,
        show_envvar=False,
        show_default=False,
        metavar="KEY",
        help="A key that clients must show. All users of this machine see a command line: set the variable "
        f"{KEY_VARIABLE} instead, or use --api-keys.",
    ),
]


def client_environment() -> dict[str, str]:
    """What clients of a server of ours, started from this environment, need in theirs: the key that it will ask for."""
    from shosei.wire import endpoint

    api_key = os.environ.get(KEY_VARIABLE, "")
    return {endpoint.KEY_VARIABLE: api_key} if api_key else {}


def words_without(api_key: str) -> list[str]:
    """The words of this command without the key, for a record that others may read."""
    return [word.replace(api_key, "…") for word in sys.argv] if api_key else list(sys.argv)


def say_open(url: str, what: str) -> None:
    """What ``--open`` means, once."""
    say(f"--open: whoever reaches {url} uses {what} without a key, as much as they like")


def key(
    name: Annotated[str, typer.Option(help="Whose key it is; logs name it so.", show_default=False)],
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Requests that it may send in a minute.")
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Requests that it may have under way at once.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key for --api-keys: 'shosei key --name team >> keys.toml'.

    The key goes to standard error, this once; the lines for the file, which hold its hash, to standard output.
    """
    from shosei.wire.api_keys import ApiKey, digest_of, entry_of, new_key

    secret = new_key()
    entry = entry_of(ApiKey(name, digest_of(secret), requests_per_minute, concurrent))
    if not as_json:
        say(f"the key of {name}, which is kept nowhere: {secret}")
    result({"name": name, "key": secret, "entry": entry}, [entry], as_json=as_json)
