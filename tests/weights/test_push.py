"""Uploading weights to the Hub, here a small server of its HTTP interface on this machine."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers.coloured import run

from mas_train.cli.export import main

pytest.importorskip("huggingface_hub")


class StandIn(BaseHTTPRequestHandler):
    """Answers as the Hub does: who signs in, a new repository, and a commit of files in the request."""

    server: HubServer

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer who the token belongs to, and what the new repository holds."""
        if self.headers.get("Authorization") != "Bearer good":
            return self._answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/whoami-v2":
            return self._answer(200, {"name": "me", "type": "user"})
        if self.path.startswith("/api/models/others/"):
            return self._answer(404, {"error": "Repository not found"})
        return self._answer(200, {"id": "me/model", "siblings": [], "sha": "0" * 40})

    def do_POST(self) -> None:
        """Create a repository, or take files."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            content = json.loads(body)
            if content.get("organization") == "others":
                return self._answer(
                    403, {"error": "You don't have the rights to create a model under others"}
                )
            self.server.private = content.get("private") or content.get("visibility") == "private"
            return self._answer(200, {"url": f"{self.server.address}/me/model"})
        if "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            return self._answer(200, {"files": modes})
        if "/commit/" in self.path:
            for entry in map(json.loads, body.splitlines()):
                if entry["key"] == "file":
                    value = entry["value"]
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
            commit = f"{self.server.address}/me/model/commit/1"
            return self._answer(200, {"success": True, "commitUrl": commit, "commitOid": "1"})
        return self._answer(200, {"errors": [], "warnings": []})  # validate-yaml

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if "error" in content:
            self.send_header("X-Error-Message", content["error"])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class HubServer(ThreadingHTTPServer):
    """The server, with what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StandIn)
        self.files: dict[str, bytes] = {}
        self.private: bool | None = None
        self.address = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)  # read on import
    monkeypatch.setenv("HF_TOKEN", "good")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_folder_arrives_in_a_private_repository(
    hub: HubServer, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert run(main, pretrained, "--out", out, "--push", "me/model") == 0
    assert hub.private is True
    assert hub.files == {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(hub.files) == {"model.safetensors", "config.json", "README.md"}
    assert capsys.readouterr().out.splitlines()[-1] == f"{hub.address}/me/model"


@pytest.mark.parametrize(
    ("changes", "repository", "said", "is_written"),
    [
        ({"HF_TOKEN": "bad"}, "me/model", ("cannot sign in", "Invalid", "hf auth login"), False),
        ({"HF_TOKEN": ""}, "me/model", ("needs a token", "hf auth login, or set HF_TOKEN"), False),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "me/model", ("cannot sign in", "check the network"), False),
        ({}, "others/model", ("cannot upload", "as me", "rights", "a token that may write there"), True),
        ({}, "a/b/c", ("cannot upload", "a/b/c", "correct that"), True),
    ],
)
def test_what_the_hub_refuses_is_one_line_with_the_remedy(
    changes: dict[str, str],
    repository: str,
    said: tuple[str, ...],
    is_written: bool,
    hub: HubServer,
    pretrained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "model"
    assert run(main, pretrained, "--out", out, "--push", repository) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert all(words in line for words in said), line
    assert not hub.files and out.exists() == is_written


def test_without_the_package_the_line_says_what_to_install(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    assert run(main, pretrained, "--out", tmp_path / "model", "--push", "me/model") == 1
    assert 'pip install "mas-video[hub]"' in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
