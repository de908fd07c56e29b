"""What any server of ours can be told of who may ask it, as fields of its configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shosei.config import Config
from shosei.wire.access import LOOPBACK, AccessRules
from shosei.wire.api_keys import ApiKeys


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

    def access_rules(self, api_key: str = "") -> AccessRules:
        """Who may ask; ``api_key`` lets in as well. Raises InputError for what is no key, or no file of them."""
        return AccessRules(ApiKeys(api_key, self.api_keys), self.open, self.allow_host, self.allow_origin)
