"""`cyclorama serve`: refusals before anything is loaded, and a process that ends in order."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from cyclorama.cli import main
from tests.conftest import PHOTOS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "can be reached by others"),
        (["--host", "::"], "can be reached by others"),
        (["--host", "example.org"], "can be reached by others"),
        (["--token-file", "nowhere"], "cannot be read"),
        (["--token-file", "short"], "under 16 letters"),
        (["--token-file", "empty", "--host", "0.0.0.0"], "there is no token in empty"),
        (["--queue", "0"], "not in the range"),
        (["--model", "nowhere"], "there is no model"),
    ],
)
def test_refusals(words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("# nobody yet\n\n")
    (tmp_path / "short").write_text("ann:abc\n")
    outcome = CliRunner().invoke(main, ["serve", *words])
    assert outcome.exit_code != 0
    assert said in outcome.output


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_from_start_to_end(tmp_path: Path) -> None:
    """At SIGTERM what is painted is finished, what waits refused, and the process ends."""
    port = free_port()
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "cyclorama", "serve", "--port", str(port)],
            stdout=file, stderr=file, env={**os.environ, "CYCLORAMA_TOKENS": "ann:" + "a" * 20},
        )  # fmt: skip
    address, token = f"http://127.0.0.1:{port}", {"authorization": "Bearer " + "a" * 20}
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            httpx.get(f"{address}/readyz")
            break
        except httpx.ConnectError:
            time.sleep(0.1)
    data = {"prompt": "zanzibar beach", "num_inference_steps": "60"}
    form = {"files": {"image": (PHOTOS / "cat.jpg").read_bytes()}, "data": data, "headers": token, "timeout": 60}
    with httpx.Client() as client:
        jobs = [client.post(f"{address}/v1/jobs", **form).json() for _ in range(2)]  # type: ignore[arg-type]
        with client.stream("GET", f"{address}/v1/jobs/{jobs[0]['id']}/events", headers=token, timeout=60) as events:
            states = []
            for line in events.iter_lines():
                if line.startswith("event: "):
                    states.append(line[7:])
                    if states.count("running") == 1:
                        process.send_signal(signal.SIGTERM)
    assert states[-1] == "done"
    assert process.wait(30) in (0, -signal.SIGTERM)  # which uvicorn raises again once it is done
    said = log.read_text()
    assert "images.edit(" in said
    assert "POST '/v1/jobs' 202" in said
    assert "zanzibar" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("words", "has_page"), [([], True), (["--no-page"], False)])
def test_the_page_and_without(words: list[str], has_page: bool, tmp_path: Path) -> None:
    with started(tmp_path, *words) as address:
        answer = httpx.get(f"{address}/", timeout=30)
        assert ("text/html" in answer.headers["content-type"]) == has_page
        assert (answer.status_code == 200) == has_page


def test_with_tokens_the_page_is_left_out_unless_said(tmp_path: Path) -> None:
    with started(tmp_path, CYCLORAMA_TOKENS="ann:" + "a" * 20) as address:
        assert httpx.get(f"{address}/", timeout=30).status_code == 404
    with started(tmp_path, "--page", CYCLORAMA_TOKENS="ann:" + "a" * 20) as address:
        assert httpx.get(f"{address}/", timeout=30).status_code == 200
        assert httpx.get(f"{address}/v1/models", timeout=30).status_code == 401


def test_a_restart_loses_nothing_and_the_log_tells_nothing(tmp_path: Path) -> None:
    photo = {"file": (PHOTOS / "cat.jpg").read_bytes()}
    with started(tmp_path) as address:
        visit = httpx.post(f"{address}/page/photos", files=photo, data={"called": "secret.jpg"}, timeout=60).json()[
            "visit"
        ]
        mask = httpx.get(f"{address}/page/{visit}/mask/1.png", timeout=60).content
    with started(tmp_path) as address:
        assert httpx.get(f"{address}/page/{visit}/photo-1.preview.jpg", timeout=60).status_code == 200
        assert httpx.get(f"{address}/page/{visit}/mask/1.png", timeout=60).content == mask
    log = (tmp_path / "log").read_text()
    assert "/page/..." in log
    assert visit not in log
    assert "secret" not in log


def test_a_log_in_json_has_request_ids_and_stage_times(tmp_path: Path) -> None:
    with started(tmp_path, "--no-page", "--log-format", "json") as address:
        asked = {"files": {"image": (PHOTOS / "cat.jpg").read_bytes()}, "data": {"prompt": "zanzibar", "n": "2"}}
        answer = httpx.post(f"{address}/v1/images/edits", timeout=60, **asked)  # type: ignore[arg-type]
    said = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    of_request = [line for line in lines if line.get("request_id") == answer.headers["x-request-id"]]
    assert [line.get("status") for line in of_request] == [None, 200]
    made = of_request[0]
    assert made["pictures"] == 2
    assert made["seconds"] == answer.json()["cyclorama"]["seconds"]
    assert {"time", "level", "logger", "message", "job_id"} <= made.keys()
    assert any(line["logger"].startswith("uvicorn") for line in lines)
    assert "zanzibar" not in said


@contextmanager
def started(folder: Path, *words: str, **variables: str) -> Iterator[str]:
    """A server of its own process, with its log in `log`; ended by SIGTERM."""
    port = free_port()
    with (folder / "log").open("a") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "cyclorama", "serve", "--port", str(port), *words],
            stdout=file, stderr=file, env={**os.environ, "CYCLORAMA_HOME": str(folder / "home"), **variables},
        )  # fmt: skip
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{address}/healthz")
            break
        except httpx.TransportError:
            assert time.monotonic() < end
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
    try:
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) in (0, -signal.SIGTERM)
