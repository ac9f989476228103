"""The code server over gRPC, both webservers, and the proxy with a login before them: as in
docker-compose.yml, from the files that it mounts."""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from embedded import sandbox
from embedded.containers import proxy as proxy_files
from embedded.paths import CHECKOUT
from embedded.programs import dagster_environment
from embedded.stack import Stack
from tests.conftest import free_ports
from tests.integration.access import eventually
from tests.project import ended

#: `openssl passwd -6` of these.
PASSWORDS = {"kim": "of operators", "lee": "of viewers"}


_CODE_SERVER = (
    *("code-server", "start", "--host", "127.0.0.1", "--use-python-environment-entry-point"),
    *("--module-name", "stock_assets.definitions", "--location-name", "stock_assets"),
)


class Proxy:
    """The running proxy, as a browser reaches it."""

    def __init__(self, operators: int, viewers: int, authorities: str) -> None:
        self.operators, self.viewers, self.authorities = operators, viewers, authorities

    def ask(
        self, port: int, query: str, user: str = "", password: str = "", **headers: str
    ) -> requests.Response:
        return requests.post(
            f"https://127.0.0.1:{port}/graphql",
            json={"query": query},
            auth=(user, password or PASSWORDS[user]) if user else None,
            headers=headers,
            verify=self.authorities,
            timeout=30,
        )


@pytest.fixture(scope="module")
def proxy(
    stack: Stack, tests_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    code_server, webserver, read_only, operators, viewers = free_ports(5)
    environment = {
        **os.environ,
        **dagster_environment(stack.environment),
        "CODE_SERVER_HOST": "127.0.0.1",
        "CODE_SERVER_PORT": str(code_server),
    }
    home = tmp_path_factory.mktemp("proxy")
    workspace = str(CHECKOUT / "deploy/workspace.yaml")
    dagster = [sys.executable, "-m", "dagster"]
    web = [sys.executable, "-m", "dagster_webserver", "--workspace", workspace, "--port"]
    commands = [
        [*dagster, *_CODE_SERVER, "--port", str(code_server)],
        [*web, str(webserver)],
        [*web, str(read_only), "--read-only"],
    ]
    with ExitStack() as running:

        def start(command: list[str], environment: dict[str, str]) -> None:
            number = len(list(home.glob("*.log")))
            log = running.enter_context((home / f"{number}.log").open("w"))
            process = subprocess.Popen(
                command, env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT
            )
            running.callback(ended, process)

        for command in commands:
            start(command, environment)
        data = home / "data"
        (data / "users").mkdir(parents=True)
        shutil.copy(CHECKOUT / "deploy/proxy/nginx.conf", data)
        certificates = stack.directory / "postgres" / "server.pem"
        shutil.copy(certificates, data / "server.pem")
        upstreams = (f"127.0.0.1:{webserver}", f"127.0.0.1:{read_only}")
        for name, content in proxy_files(upstreams, (operators, viewers)).items():
            (data / name).write_text(content)
        for user, file in (("kim", "operators"), ("lee", "viewers")):
            (data / "users" / file).write_text(f"{user}:{_hashed(PASSWORDS[user])}\n")
        nginx = ["nginx", "-c", "/data/nginx.conf", "-g", "daemon off;"]
        start(
            sandbox.command(tests_root, data, nginx, user="www-data"),
            {**sandbox.ENVIRONMENT, "PATH": sandbox.search_path()},
        )
        found = Proxy(operators, viewers, str(stack.directory / "certificates" / "authorities.crt"))
        eventually(lambda: _loaded(found), 180)
        yield found


def _hashed(password: str) -> str:
    command = ["openssl", "passwd", "-6", "-stdin"]
    result = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
    return result.stdout.strip()


ASSETS = "{ assetNodes { assetKey { path } } }"
RELOAD = """mutation {
    reloadRepositoryLocation(repositoryLocationName: "stock_assets") { __typename }
}"""


def _loaded(proxy: Proxy) -> bool:
    try:
        answers = [
            proxy.ask(proxy.operators, ASSETS, "kim"),
            proxy.ask(proxy.viewers, ASSETS, "lee"),
        ]
    except requests.RequestException:
        return False
    return all(answer.ok and answer.json()["data"]["assetNodes"] for answer in answers)


def test_the_code_server_s_assets_are_there(proxy: Proxy) -> None:
    nodes = proxy.ask(proxy.operators, ASSETS, "kim").json()["data"]["assetNodes"]
    assert ["minute_bars"] in [node["assetKey"]["path"] for node in nodes]


@pytest.mark.parametrize(
    ("port", "user", "password"),
    [
        ("operators", "", ""),
        ("operators", "kim", "guessed"),
        ("operators", "lee", ""),
        ("viewers", "", ""),
        ("viewers", "kim", ""),
    ],
)
def test_nobody_comes_in_who_is_not_on_the_list(
    proxy: Proxy, port: str, user: str, password: str
) -> None:
    answer = proxy.ask(getattr(proxy, port), ASSETS, user, password)
    assert answer.status_code == 401
    assert "minute_bars" not in answer.text


def test_viewers_change_nothing(proxy: Proxy) -> None:
    def outcome(port: int, user: str) -> str:
        return str(proxy.ask(port, RELOAD, user).json()["data"]["reloadRepositoryLocation"])

    assert "UnauthorizedError" in outcome(proxy.viewers, "lee")
    assert "WorkspaceLocationEntry" in outcome(proxy.operators, "kim")


def test_another_site_s_requests_are_refused(proxy: Proxy) -> None:
    evil = proxy.ask(proxy.operators, ASSETS, "kim", Origin="https://elsewhere.example")
    assert evil.status_code == 403
    own = f"https://127.0.0.1:{proxy.operators}"
    assert proxy.ask(proxy.operators, ASSETS, "kim", Origin=own).status_code == 200


def test_websockets_pass(proxy: Proxy) -> None:
    """As the UI follows runs."""
    login = base64.b64encode(f"kim:{PASSWORDS['kim']}".encode()).decode()
    with connect(
        f"wss://127.0.0.1:{proxy.operators}/graphql",
        subprotocols=["graphql-ws"],  # type: ignore[list-item]
        ssl=ssl.create_default_context(cafile=proxy.authorities),
        additional_headers={"Authorization": f"Basic {login}"},
        open_timeout=30,
    ) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(socket.recv(timeout=30))["type"] == "connection_ack"
