"""`cyclorama serve`: refusals before anything is loaded, and a process that ends in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
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
