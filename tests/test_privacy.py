"""No look-up, no connection and no file outside our own folders: what libraries do by default is switched off."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NANO_CHECKPOINT, PHOTOS, ROOT

COMMANDS = {
    "generate": ("generate", str(PHOTOS / "cat.jpg"), "-p", "green leaves", "--steps", "2", "-o", "out.png"),
    "generate with OpenVINO": (
        "generate", str(PHOTOS / "cat.jpg"), "-p", "green leaves", "--steps", "2", "--backend", "openvino",
        "-o", "out.png",
    ),
    "mask": ("mask", str(PHOTOS / "cat.jpg"), "--cutout", "-o", "out.png"),
    "doctor": ("doctor", "--json"),
    "models": ("models", "list"),
    "export": ("export", str(NANO_CHECKPOINT), "model"),
}  # fmt: skip
_OPENED = re.compile(r'^\d+ +(?:openat|creat|mkdir|mkdirat|rename|renameat2?|symlink)\((?:AT_FDCWD, )?"([^"]*)"(.*)')
# Of the system's, gone when the process is; and bytecode, which Python writes beside its own files.
_PASSING = re.compile(r"/dev/|/proc/|/tmp/|.*__pycache__")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_network_and_no_traces(command: str, tmp_path: Path) -> None:
    """Traced, in an empty home, and in a network namespace in which nothing could be reached."""
    assert shutil.which("strace"), "this test needs strace; run: apt-get install strace"
    for folder in ("home", "work", "scratch"):
        (tmp_path / folder).mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CYCLORAMA", "XDG", "HF_", "ORT_", "PYTEST")) and "TELEMETRY" not in name
    }
    trace = tmp_path / "trace.txt"
    # Not from within the clone, where Python would leave bytecode.
    run = subprocess.run(
        [
            "unshare", "--map-root-user", "--net", "strace", "-f", "--seccomp-bpf", "-o", str(trace), "-e",
            "trace=network,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,symlink",
            sys.executable, "-B", "-m", "cyclorama", *COMMANDS[command],
        ],
        cwd=tmp_path / "work", capture_output=True, text=True, check=False,
        env={
            **environment, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "scratch"), "PYTHONPATH": str(ROOT),
        },
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    lines = trace.read_text(errors="replace").splitlines()
    assert len(lines) > 100
    reached = [line for line in lines if re.search(r"nscd|resolv\.conf|(connect|send\w+)\(.*AF_INET", line)]
    assert reached == []
    written = set()
    for line in lines:
        match = _OPENED.match(line)
        if match and (" openat(" not in line or "O_CREAT" in match[2]) and "= -1" not in match[2]:
            written.add(match[1])
    ours = (str(tmp_path / "work"), str(tmp_path / "home" / ".cache" / "cyclorama"), str(tmp_path / "scratch"))
    outside = {
        path
        for path in written
        if path.startswith("/")
        and not path.startswith(ours)
        and not (_PASSING.match(path) and str(tmp_path) not in path)
    }
    # The folders on the way to our own.
    assert outside <= {str(tmp_path / "home"), str(tmp_path / "home" / ".cache")}
    left = {path.relative_to(tmp_path / "home").parts[:2] for path in (tmp_path / "home").rglob("*")}
    assert left <= {(".cache",), (".cache", "cyclorama")}
    assert "\x1b[" not in run.stderr


@pytest.mark.parametrize("package", ["cyclorama", "cyclorama.models", "cyclorama.export", "cyclorama.cli"])
def test_telemetry_is_off_whatever_is_imported_first(package: str) -> None:
    code = (
        f"import os, sys, {package}\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1', 'onnxruntime'\n"
        "assert sys.modules['openvino_telemetry'] is None, 'openvino'\n"
        "from huggingface_hub import constants\n"
        "assert constants.HF_HUB_DISABLE_TELEMETRY\n"
    )
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_what_a_person_has_set_stays() -> None:
    code = "import os, cyclorama; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "ORT_DISABLE_TELEMETRY": "0"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == "0"
