"""Who may ask a server of ours: its names, the pages that ask, its keys and what they may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shosei.errors import InputError
from shosei.wire import api_keys
from shosei.wire.access import Access, AccessRules
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKey, ApiKeys, KeyLimits, digest_of, entry_of, new_key
from shosei.wire.connection import Headers
from verb import Shosei

SECRET, OTHER = "a-key-of-the-shop", "a-key-of-the-school"
JSON = ("content-type", "application/json")


def headers(*given: tuple[str, str], host: str = "localhost:8000") -> Headers:
    named = [("host", host), *given] if host else given
    return [(name.encode(), value.encode("latin-1")) for name, value in named]


def refusal(
    access: Access, given: Headers, method: str = "POST", path: str = "/v1/completions"
) -> tuple[int, ApiError]:
    with pytest.raises(ApiError) as caught:
        access.key_of(method, path, given, json=method == "POST")
    return caught.value.status, caught.value


@pytest.mark.parametrize(
    ("bound", "host", "status"),
    [
        ("127.0.0.1", "localhost", 0),
        ("127.0.0.1", "LOCALHOST.:9", 0),
        ("127.0.0.1", "127.8.9.1:80", 0),
        ("127.0.0.1", "[::1]:80", 0),
        ("127.0.0.1", "[::ffff:127.0.0.1]", 0),
        ("::1", "127.0.0.1", 0),
        ("127.0.0.1", "models.lan:8000", 0),
        ("127.0.0.1", "192.0.2.1:8000", 421),
        ("127.0.0.1", "evil.example", 421),
        ("127.0.0.1", "localhost.evil.example", 421),
        ("127.0.0.1", "127.0.0.1.evil.example", 421),
        ("127.0.0.1", "", 400),
        ("127.0.0.1", "localhost/evil", 400),
        ("127.0.0.1", "a@localhost", 400),
        ("0.0.0.0", "192.0.2.1:8000", 0),
        ("0.0.0.0", "[2001:db8::1]:8000", 0),
        ("0.0.0.0", "localhost:8000", 0),
        ("0.0.0.0", "evil.example:8000", 421),
        ("192.0.2.1", "gpu1:8000", 0),
        ("192.0.2.1", "evil.example", 421),
    ],
)
def test_a_request_names_the_server(bound: str, host: str, status: int) -> None:
    called = "gpu1" if bound == "192.0.2.1" else bound
    access = Access(AccessRules(is_open=bound in ("0.0.0.0", "192.0.2.1"), hosts=["Models.LAN"]), called, bound)
    if status:
        assert refusal(access, headers(JSON, host=host))[0] == status
    else:
        assert access.key_of("POST", "/v1/completions", headers(JSON, host=host), json=True) is None


def test_two_hosts_are_none() -> None:
    assert refusal(Access(), [*headers(JSON), (b"host", b"localhost:8000")])[0] == 400


def test_a_name_that_is_refused_says_how_it_is_let_in() -> None:
    assert "--allow-host evil.example" in str(refusal(Access(), headers(JSON, host="evil.example:80"))[1])


@pytest.mark.parametrize(
    ("origin", "origins", "lets_in"),
    [
        ("http://localhost:8000", [], True),
        ("https://localhost:8000", [], True),  # behind a proxy that ends TLS
        ("http://localhost:3000", [], False),
        ("null", [], False),
        ("http://evil.example", [], False),
        ("http://evil.example", ["http://localhost:3000"], False),
        ("http://localhost:3000", ["http://localhost:3000"], True),
        ("http://evil.example", ["*"], True),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_page_asks_only_its_own_server(origin: str, origins: list[str], lets_in: bool, method: str) -> None:
    access, given = Access(AccessRules(origins=origins)), headers(("origin", origin), JSON)
    if lets_in:
        assert access.key_of(method, "/v1/completions", given, json=method == "POST") is None
    else:
        status, error = refusal(access, given, method)
        assert (status, "--allow-origin" in str(error)) == (403, True)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 0),
        ("Application/JSON; charset=utf-8", 0),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain; application/json", 415),
        (None, 415),
    ],
)
def test_a_body_is_said_to_be_json(kind: str | None, status: int) -> None:
    given = headers(*([("content-type", kind)] if kind else []))
    if status:
        assert refusal(Access(), given)[0] == status
    else:
        Access().key_of("POST", "/v1/completions", given, json=True)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"])
def test_an_address_that_others_reach_needs_a_decision(bound: str) -> None:
    with pytest.raises(InputError, match=r"--api-key or --api-keys FILE.*--open"):
        Access(host=bound, address=bound)
    Access(AccessRules(is_open=True), bound, bound)
    Access(AccessRules(ApiKeys(SECRET)), bound, bound)
    with pytest.raises(InputError, match="leave one out"):
        Access(AccessRules(ApiKeys(SECRET), is_open=True), bound, bound)


def test_a_key_is_asked_for_wherever_it_is_not_said_otherwise() -> None:
    here = Access(AccessRules(ApiKeys(SECRET)), keyless=["/health"], keyless_here=["/metrics"])
    abroad = Access(AccessRules(ApiKeys(SECRET)), "0.0.0.0", "0.0.0.0", ["/health"], ["/metrics"])
    for access in (here, abroad):
        assert access.key_of("GET", "/health", headers(), json=False) is None
        assert access.key_of("OPTIONS", "/v1/models", headers(), json=False) is None  # it never has one
        for path in ("/v1/models", "/health/", "/healthy", "//health", ""):
            assert refusal(access, headers(), "GET", path)[0] == 401
    assert here.key_of("GET", "/metrics", headers(), json=False) is None
    assert refusal(abroad, headers(), "GET", "/metrics")[0] == 401


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "key_required"),
        ("", "key_required"),
        ("Bearer", "key_required"),
        ("Bearer ", "key_required"),
        (f"Basic {SECRET}", "key_required"),
        (SECRET, "key_required"),
        ("Bearer x", "invalid_api_key"),
        (f"Bearer {SECRET}x", "invalid_api_key"),
        (f"Bearer {SECRET[:-1]}", "invalid_api_key"),
        (f"Bearer {digest_of(SECRET).hex()}", "invalid_api_key"),
        ("Bearer é鍵".encode().decode("latin-1"), "invalid_api_key"),
    ],
)
def test_a_key_that_is_none_is_refused(authorization: str | None, code: str) -> None:
    given = headers(*([("authorization", authorization)] if authorization is not None else []), JSON)
    status, error = refusal(Access(AccessRules(ApiKeys(SECRET))), given)
    assert (status, error.code, error.headers) == (401, code, {"WWW-Authenticate": "Bearer"})
    assert SECRET not in str(error)


def test_a_key_lets_in_by_its_name() -> None:
    access = Access(AccessRules(ApiKeys(SECRET)))
    for scheme in ("Bearer", "bearer", "BEARER "):
        key = access.key_of(
            "POST", "/v1/completions", headers(("authorization", f"{scheme} {SECRET}"), JSON), json=True
        )
        assert key is not None
        assert key.name == "api-key"


def write(file: Path, *keys: ApiKey) -> Path:
    file.write_text("# who may ask\n" + "\n".join(map(entry_of, keys)))
    return file


def test_a_file_has_names_hashes_and_limits(tmp_path: Path) -> None:
    team, shop = ApiKey("team", digest_of(OTHER), 60, 4), ApiKey("shop-1", digest_of(SECRET))
    file = write(tmp_path / "keys.toml", team, shop)
    keys = ApiKeys(file=file)
    assert (keys.find(OTHER), keys.find(SECRET), keys.find("neither of the two")) == (team, shop, None)
    assert SECRET not in file.read_text()


def test_a_file_is_read_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1_000.0
    monkeypatch.setattr(api_keys.time, "monotonic", lambda: now)
    shop, school = ApiKey("shop", digest_of(SECRET)), ApiKey("school", digest_of(OTHER))
    file = write(tmp_path / "keys.toml", shop)
    keys = ApiKeys(file=file)
    for change in (lambda: file.write_text("[half"), file.unlink):
        change()
        now += 2
        assert keys.find(SECRET) == shop, "a file that is half written, or away, takes no key from anybody"
    assert len(caplog.records) == 2
    assert str(file) in caplog.text
    write(tmp_path / "new", school)
    os.replace(tmp_path / "new", file)
    now += 2
    assert (keys.find(SECRET), keys.find(OTHER)) == (None, school)
    file.write_text("# the school has left\n")
    now += 2
    assert (keys.find(OTHER), bool(keys)) == (None, True), "the last key can be taken back, and one is still asked for"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no keys: 'shosei key --name NAME'"),
        (f"{SECRET}\n", "no file of hashed keys"),
        ("[team]\n", "`sha256`"),
        ('[team]\nsha256 = "abc"\n', "$[...].sha256"),
        (f'[team]\nsha256 = "{"0" * 64}"\nper_minute = 3\n', "per_minute"),
        (f'[team]\nsha256 = "{"0" * 64}"\nconcurrent = 0\n', ">= 1"),
        (f'["a\\nb"]\nsha256 = "{"0" * 64}"\n', "matching regex"),
        (f'[a]\nsha256 = "{"0" * 64}"\n[b]\nsha256 = "{"0" * 64}"\n', "'a' and 'b' are one key"),
        ("[team\n", "line 1"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        ApiKeys(file=file)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("key", ["short", "k" * 20 + " k", "鍵" * 20])
def test_a_single_key_that_can_be_guessed_is_refused_unsaid(key: str) -> None:
    with pytest.raises(InputError, match="at least 16") as caught:
        ApiKeys(key)
    assert key not in str(caught.value)


def test_a_key_asks_so_often_a_minute_and_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(api_keys.time, "monotonic", lambda: now)
    limits, often, many = KeyLimits(), ApiKey("often", b"1", requests_per_minute=3), ApiKey("many", b"2", concurrent=2)

    def wait_s(key: ApiKey | None) -> str:
        try:
            with limits.request(key):
                return ""
        except ApiError as error:
            return error.headers["Retry-After"] if error.status == 429 else f"{error.status}"

    assert [wait_s(often) for _ in range(5)] == ["", "", "", "20", "20"]
    now += 20
    assert [wait_s(often) for _ in range(2)] == ["", "20"]

    def failing() -> None:
        with limits.request(many):
            waits.append(wait_s(many))
            raise KeyError

    waits: list[str] = []
    with limits.request(many):
        with pytest.raises(KeyError):
            failing()
        waits += [wait_s(many), wait_s(many), wait_s(None)]
    assert waits == ["1", "", "", ""]


def test_the_verb_makes_a_key_and_the_lines_for_its_file(shosei: Shosei, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    secrets = []
    for name, *options in (("team",), ("shop", "--requests-per-minute", "60", "--concurrent", "4")):
        code, out, error = shosei("key", "--name", name, *options)
        assert code == 0
        with file.open("a") as stream:
            stream.write(out)
        secrets.append(error.split()[-1])
        assert secrets[-1] not in out
    keys = ApiKeys(file=file)
    team, shop = map(keys.find, secrets)
    assert team == ApiKey("team", digest_of(secrets[0]))
    assert shop == ApiKey("shop", digest_of(secrets[1]), 60, 4)
    code, _, error = shosei("key", "--name", "two words")
    assert (code, error.count("\n")) == (2, 1)


def test_keys_are_not_alike() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert min(map(len, keys)) >= 43
