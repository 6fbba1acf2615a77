"""Does OpenVINO run on this machine? Asked once, in a child process.

On some virtual machines with AMD processors OpenVINO dies of SIGFPE while it compiles a network
(openvino#35943). A signal cannot be caught, so the first compile happens in a child, and the answer
is kept for this processor and this version of OpenVINO.

`python -m cyclorama.engine.backends.probe` is that child: it compiles the embedded UNet and runs it once.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock

from cyclorama.engine.machine import cpu_name
from cyclorama.models.atomic import write_atomically
from cyclorama.models.errors import NoHome
from cyclorama.models.store import home

_TIMEOUT = 300  # seconds; the probe takes about two
_ASKING = Lock()  # one child at a time
_KNOWN_HERE: dict[str, str | None] = {}  # what was found where there is no home to keep it in
_LASTING = ("SIGFPE", "SIGILL", "SIGSEGV")  # other failures may have been the moment's, and are asked about again


def why_openvino_fails(command: list[str] | None = None) -> str | None:
    """None if OpenVINO compiles and runs a network here, else the reason in a few words.

    `command` replaces the probing child process in tests.
    """
    try:
        key = f"openvino {version('openvino')} on {cpu_name()}"
    except PackageNotFoundError:
        return "it is not installed"
    with _ASKING:
        try:
            record = home() / "openvino-probe.json"
            known = json.loads(record.read_text())
        except NoHome:
            record, known = None, _KNOWN_HERE
        except (OSError, ValueError):
            known = {}
        if isinstance(known, dict) and key in known:
            return None if known[key] is None else f"{known[key]}, says {record or 'this process'}"
        # -P: a models.py in the current folder must not be taken for ours.
        reason = _run(command or [sys.executable, "-P", "-m", "cyclorama.engine.backends.probe"])
        if reason is None or reason.endswith(_LASTING):
            _remember(record, {**(known if isinstance(known, dict) else {}), key: reason})
        return reason


def _run(command: list[str]) -> str | None:
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"its first compile took more than {_TIMEOUT} s"
    if child.returncode < 0:
        return f"its first compile died of {signal.Signals(-child.returncode).name}"
    if child.returncode > 0:
        lines = child.stderr.strip().splitlines()
        return lines[-1] if lines else f"its first compile exited with {child.returncode}"
    return None


def _remember(record: Path | None, known: dict[str, str | None]) -> None:
    _KNOWN_HERE.update(known)
    if record is None:
        return
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(record, json.dumps(known, indent=1).encode())
    except OSError:
        pass  # a read-only home: the next process probes again


def _main() -> None:
    from cyclorama.engine.backends import ONNX_FILE, open_session, random_feeds
    from cyclorama.models.catalogue import embedded

    session = open_session(embedded("nano") / "unet" / ONNX_FILE, "openvino")
    session.run(random_feeds(session))


if __name__ == "__main__":
    _main()
