"""The files of examples/deploy do what docs/deploy.md says: nginx is tried in front of two servers, others are read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from documented import ROOT
from serve_front import ASK, Front
from serve_front import serving as fronting
from shosei.config import load
from shosei.model.native import compiler
from shosei.serve.app import MAX_BODY_BYTES
from shosei.serve.config import ServeConfig
from shosei.serve.exchange import server_access
from shosei.wire.endpoint import listen

DEPLOY = ROOT / "examples/deploy"
NAME = "llm.example.org"
NGINX = shutil.which("nginx")


def test_the_configuration_is_one_and_nginx_has_the_same_limit() -> None:
    config = load(ServeConfig, "serve", DEPLOY / "serve.toml")
    assert config.api_keys
    assert (config.allow_host, config.body_limit) == ([NAME], MAX_BODY_BYTES)
    assert "client_max_body_size 1m;" in (DEPLOY / "nginx.conf").read_text()


def test_the_containers_run_as_nobody_on_a_root_that_is_read_only() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    servers = [compose["services"][name] for name in ("engine-1", "engine-2")]
    for server in servers:
        assert server["read_only"]
        assert server["user"] != "0:0"
        assert server["cap_drop"] == ["ALL"]
        assert "ports" not in server
        assert server["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"]
    container = (DEPLOY / "Containerfile").read_text()
    assert "\nUSER 10001:10001\n" in container
    assert "/readyz" in container
    copied = [
        line.split()[1:-1] for line in container.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    assert all((ROOT / name).exists() for names in copied for name in names)
    upstream = compose["configs"]["upstream"]["content"]
    assert (
        upstream.replace("engine-1:8000", "127.0.0.1:8000").replace("engine-2:8000", "127.0.0.1:8001")
        in (DEPLOY / "upstream.conf").read_text().partition("\n")[2].partition("\n")[2] + "\n"
    )


def test_products_in_c_are_there_for_users_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = [line.partition("=")[::2] for line in (DEPLOY / "shosei.service").read_text().splitlines()]
    monkeypatch.delenv("SHOSEI_NATIVE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc")  # where nobody can write
    for name, value in (value.split("=", 1) for key, value in unit if key == "Environment"):
        monkeypatch.setenv(name, value.replace("%C", str(tmp_path)))
    assert compiler.cache_folder().is_relative_to(tmp_path / dict(unit)["CacheDirectory"])
    built, _, image = (DEPLOY / "Containerfile").read_text().partition("\nCOPY --from=build ")
    assert image  # which has no compiler
    assert "'.[build,structured,native]'" in built
    assert "/opt/shosei/bin/python -m shosei.model.native.release" in built


@pytest.mark.system
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze on this machine")
def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "shosei.service"
    unit.write_text((DEPLOY / "shosei.service").read_text().replace("/opt/shosei/.venv/bin/shosei", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@contextlib.asynccontextmanager
async def nginx(folder: Path, servers: Sequence[str]) -> AsyncIterator[str]:
    """nginx by the example's files, with ports and paths of this machine: its URL."""
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    certificate = ["-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "tls.key", "-out", folder / "tls.crt"]
    subprocess.run(["openssl", "req", *certificate, "-subj", f"/CN={NAME}"], check=True, capture_output=True)
    text = (DEPLOY / "upstream.conf").read_text() + (DEPLOY / "nginx.conf").read_text()
    for example, here in (
        ("443 ssl", f"127.0.0.1:{port} ssl"),
        (f"/etc/nginx/tls/{NAME}", str(folder / "tls")),
        *zip(("127.0.0.1:8000", "127.0.0.1:8001"), servers, strict=True),
    ):
        assert example in text
        text = text.replace(example, here)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    head = f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}"
    if os.geteuid() == 0:
        head = f"user root; {head}"
    file = folder / "nginx.conf"
    file.write_text(f"{head}\nhttp {{ access_log off; {paths}\n{text}\n}}\n")
    tested = subprocess.run([str(NGINX), "-t", "-p", folder, "-c", file], capture_output=True, text=True)
    assert tested.returncode == 0, tested.stderr
    (folder / "pid").unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(str(NGINX), "-p", str(folder), "-c", str(file))
    try:
        while not (folder / "pid").exists():
            await asyncio.sleep(0.02)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


class Client:
    """Asks ``url`` by the name that its certificate has."""

    def __init__(self, http: aiohttp.ClientSession, url: str, folder: Path) -> None:
        self._http, self._url = http, url
        self._tls = ssl.create_default_context(cafile=str(folder / "tls.crt"))
        self._tls.check_hostname = False  # it is nginx that is to refuse another name

    def ask(self, body: Any, path: str = "/v1/chat/completions", name: str = NAME) -> Any:
        headers = {"Host": name, "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        return self._http.post(self._url + path, data=data, headers=headers, ssl=self._tls, server_hostname=name)

    async def status(self, body: Any, path: str = "/v1/chat/completions") -> tuple[int, Any]:
        async with self.ask(body, path) as response:
            return response.status, await response.json()


@pytest.mark.system
@pytest.mark.skipif(not (NGINX and shutil.which("openssl")), reason="no nginx or openssl on this machine")
def test_nginx_spreads_requests_passes_tokens_on_as_they_come_and_goes_on_with_one_server(tmp_path: Path) -> None:
    async def scene(first: Front, second: Front, ends: list[contextlib.AsyncExitStack], client: Client) -> None:
        for _ in range(4):
            assert (await client.status(ASK))[0] == 200
        assert first.engine.submitted
        assert second.engine.submitted

        first.engine.after = second.engine.after = "hang"
        async with client.ask({**ASK, "stream": True}) as response:  # its end never comes
            assert response.headers["Content-Type"].startswith("text/event-stream")
            while "天" not in (await response.content.readline()).decode():
                pass
        first.engine.after = second.engine.after = "end"

        status, refused = await client.status({"prompt": "x" * MAX_BODY_BYTES})
        assert (status, refused["error"]["type"]) == (413, "invalid_request_error")
        async with client.ask({}, "/metrics") as response:
            assert response.status == 404
        with pytest.raises(aiohttp.ClientError):
            await client.ask(ASK, name="other.example.org")

        await ends[1].aclose()
        for _ in range(4):
            assert (await client.status(ASK))[0] == 200
        await ends[0].aclose()
        status, refused = await client.status(ASK)
        assert (status, refused["error"]["type"]) == (503, "server_error")

    async def all_of_it() -> None:
        folders = [tmp_path / name for name in ("a", "b")]
        for folder in folders:
            folder.mkdir()
        config = load(ServeConfig, "serve", DEPLOY / "serve.toml").model_copy(update={"api_keys": None})
        access = server_access(config.access_rules())
        async with (
            asyncio.timeout(60),
            contextlib.AsyncExitStack() as first_end,
            contextlib.AsyncExitStack() as second_end,
            aiohttp.ClientSession() as http,
        ):
            ends = [first_end, second_end]
            first, second = [
                await end.enter_async_context(fronting(folder, text="天气", access=access))
                for end, folder in zip(ends, folders, strict=True)
            ]
            async with nginx(tmp_path, [front.url.removeprefix("http://") for front in (first, second)]) as url:
                await scene(first, second, ends, Client(http, url, tmp_path))

    asyncio.run(all_of_it())
