"""A disk that fills up somewhere in the middle: `python -m tests.reliability.full [--seed N] [--quota] [WHAT ...]`.

Each command has a small disk of its own (tmpfs, in a mount namespace: Linux) for its home, its temporary files and what
it makes. A finding is a traceback, more than a line of error, half a file, or a next run that does not work once there
is room.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import httpx
from PIL import Image

from cyclorama.models.catalogue import embedded
from tests.checkpoints import make_checkpoint
from tests.conftest import PHOTOS
from tests.hub import Hub, serve
from tests.reliability.soak import is_ready
from tests.reliability.trials import Account, Trial, digest, is_same, report, run

_ROOM, _PAGE = 1 << 31, 4096
_FAST = ("-p", "a sandy beach", "--steps", "1", "--size", "128", "--seed", "3")


class Disk:
    """A small disk at a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", folder], check=True)

    def used(self) -> int:
        """Bytes."""
        state = os.statvfs(self.path)
        return (state.f_blocks - state.f_bfree) * state.f_frsize

    def set_size(self, size: int) -> None:
        """So many bytes from now on, what lies there included."""
        pages = max(1, size // _PAGE)
        subprocess.run(["mount", "-o", f"remount,size={pages * _PAGE}", self.path], check=True)

    def clear(self) -> None:
        """Nothing lies there any more."""
        for path in self.path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def variables(self) -> dict[str, str]:
        """For a command that writes nowhere else."""
        (self.path / "tmp").mkdir(exist_ok=True)
        return {"HOME": str(self.path / "home"), "TMPDIR": str(self.path / "tmp")}


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[Disk]:
    disk = Disk(folder / "disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk.path], check=True)


def _tried(
    words: list[str], disk: Disk, account: Account, chance: random.Random, times: int,
    check: Callable[[bool], None], prepare: Callable[[], object] = lambda: None, code: int = 0,
    variables: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """A command with ample room, then with too little, then with room again. check: is told whether all was done."""

    def ran() -> tuple[int, str]:
        process = run(words, disk.path / "home" / "cyclorama", **disk.variables(), **(variables or {}))
        said = process.communicate(timeout=600)[1]
        account.check("Traceback" not in said, f"{' '.join(words[:2])}: {said[-900:]}")
        return process.returncode, said

    prepare()
    state, said = ran()
    account.check(state == code, f"{words[0]} with ample room ended with {state}: {said[-300:]}")
    check(True)
    most = disk.used()
    for _ in range(times):
        disk.set_size(_ROOM)
        disk.clear()
        prepare()
        disk.set_size(max(disk.used(), round(chance.uniform(0, 1.1) * most)))
        state, said = ran()
        account.times += 1
        account.midway += state != code
        if state != code:
            account.check(state in (1, 2, 3), f"{words[0]} ended with {state}: {said[-300:]}")
            account.check("rror" in said or "failed" in said, f"{words[0]} failed without a word: {said[-300:]}")
        check(state == code)
        left = [path.name for path in (disk.path / "tmp").iterdir()]
        account.check(not left, f"{words[0]}: {left} are left in the folder of temporary files")
        disk.set_size(_ROOM)
        state, said = ran()
        account.check(state == code, f"{words[0]} with room again ended with {state}: {said[-300:]}")
        check(True)


def generate(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """Over a picture that is there already: the old one or the new one is there, whole."""
    Image.new("RGB", (8, 8)).save(folder / "old.png")
    with _disk(folder) as disk:
        out = disk.path / "out.png"
        expected: list[str] = []

        def check(is_done: bool) -> None:
            now = digest(out)
            expected.append(now)
            wanted = expected[0] if is_done else digest(folder / "old.png")
            account.check(now == wanted, f"generate: {'another' if is_done else 'half a'} picture")
            account.check(not list(disk.path.glob(".cyclorama-*")), "generate: parts are left")

        words = ["generate", str(PHOTOS / "cat.jpg"), *_FAST, "-o", str(out)]
        _tried(words, disk, account, chance, times, check, lambda: shutil.copy(folder / "old.png", out))


def batch(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """Six photos: what the journal calls done is there, whole, and the next run makes the rest."""
    photos = folder / "photos"
    photos.mkdir()
    for number in range(6):
        Image.open(PHOTOS / "cat.jpg").resize((200 + number, 160)).save(photos / f"{number}.jpg")
    with _disk(folder) as disk:
        out = disk.path / "out"
        expected: dict[str, str] = {}

        def check(is_done: bool) -> None:
            made = {path.name: digest(path) for path in out.glob("*.png")} if out.is_dir() else {}
            expected.update(expected or made)
            if is_done:
                account.check(made.keys() == expected.keys(), f"batch: {len(made)} of {len(expected)} pictures")
            other = [name for name in made if made[name] != expected[name]]
            account.check(not other, f"batch: other bytes in {other}")

        words = ["batch", str(photos), *_FAST, "--workers", "2", "--threads", "1", "--retry-failed", "-o", str(out)]
        _tried(words, disk, account, chance, times, check)


def pull(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """A model from a hub: whole under its name, or not there."""
    nano = embedded("nano")
    with serve(Hub({"me/nano": nano})) as hub, _disk(folder) as disk:
        listed = disk.path / "home" / "cyclorama" / "models" / "me--nano"

        def check(is_done: bool) -> None:
            account.check(is_same(listed, nano) if listed.exists() else not is_done, "pull: half a model has its name")

        _tried(["models", "pull", "me/nano"], disk, account, chance, times, check, variables={"HF_ENDPOINT": hub.url})


def export(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """A checkpoint to a model folder: whole, or not there."""
    checkpoint = make_checkpoint(folder / "tiny")
    with _disk(folder) as disk:
        out = disk.path / "model"
        names: set[str] = set()

        def check(is_done: bool) -> None:
            made = {path.name for path in out.rglob("*")}
            names.update(names or made)
            account.check(made == names if is_done or out.exists() else True, "export: half a model has its name")
            if is_done:
                shutil.rmtree(out)
            left = [path.name for path in disk.path.iterdir() if path.name not in ("home", "tmp", "model")]
            account.check(not left, f"export: {left} are left")

        _tried(["export", str(checkpoint), str(out), "--format", "onnx"], disk, account, chance, times, check)


def server(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """Requests while there is no room: an answer in words or a picture, and all is well once there is room."""
    photo = folder / "photo.png"
    with Image.open(PHOTOS / "cat.jpg") as cat:  # a body that a form keeps in a file
        cat.resize((1500, 1000)).save(photo, compress_level=0)
    fields = {"prompt": "a sandy beach", "seed": "3", "num_inference_steps": "2", "working_size": "128"}
    with _disk(folder) as disk, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        process = run(["serve", "--port", str(port)], disk.path / "home" / "cyclorama", **disk.variables())
        address = f"http://127.0.0.1:{port}"
        try:
            until = time.monotonic() + 60
            while not is_ready(port) and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)

            def asked(room: bool) -> None:
                given = {"image": ("photo.png", photo.read_bytes())}
                for path, files, more in (
                    ("v1/images/edits", given, fields),
                    ("page/photos", {"file": given["image"]}, {}),
                ):
                    answer = httpx.post(f"{address}/{path}", files=files, data=more, timeout=120)
                    said = f"{path}: {answer.status_code} {answer.text[:200]}"
                    if room:
                        account.check(answer.status_code == 200, f"serve with room: {said}")
                    elif answer.status_code != 200:
                        account.midway += 1
                        told = answer.headers["content-type"] == "application/json" and answer.json().get("error", {})
                        account.check(answer.status_code != 500 and bool(told), f"serve: {said}")

            asked(room=True)
            for _ in range(times // 2):
                disk.set_size(disk.used() + round(chance.uniform(0, 9_000_000)))
                asked(room=False)
                account.times += 2
                disk.set_size(_ROOM)
                asked(room=True)
        finally:
            process.terminate()
            account.check("Traceback" not in process.communicate(timeout=60)[1], "serve: a traceback in the log")


@contextlib.contextmanager
def _telling_of_a_quota() -> Iterator[None]:
    """Commands that are run meanwhile are told of a quota where the disk is full."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "quota.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).with_name("quota.c")], check=True
        )
        os.environ["LD_PRELOAD"] = str(library)
        full = "import os; os.write(os.open('/dev/full', os.O_WRONLY), b'-')"
        told = subprocess.run([sys.executable, "-c", full], check=False, capture_output=True, text=True).stderr
        assert os.strerror(errno.EDQUOT) in told, told
        try:
            yield
        finally:
            del os.environ["LD_PRELOAD"]


_TRIALS: dict[str, tuple[Trial, int]] = {
    "generate": (generate, 30), "batch": (batch, 12), "pull": (pull, 30), "export": (export, 12), "serve": (server, 30),
}  # fmt: skip


@click.command()
@click.option("--seed", default=0, show_default=True, help="Of the sizes.")
@click.option("--times", type=click.IntRange(1), help="Disks of each; default: 12 to 30.")
@click.option("--quota", is_flag=True, help="The disk tells of a quota; needs a C compiler.")
@click.argument("what", nargs=-1, type=click.Choice(list(_TRIALS)))
def main(seed: int, times: int | None, quota: bool, what: tuple[str, ...]) -> None:
    """Fill up, look, and print a table in Markdown. Ends with 1 where there are findings."""
    if "CYCLORAMA_OWN_MOUNTS" not in os.environ:
        words = ["unshare", "--map-root-user", "--mount", sys.executable, "-m", "tests.reliability.full", *sys.argv[1:]]
        os.execvpe(words[0], words, {**os.environ, "CYCLORAMA_OWN_MOUNTS": "1"})
    with _telling_of_a_quota() if quota else contextlib.nullcontext():
        report("disks", "of them too small", {name: _TRIALS[name] for name in what or _TRIALS}, seed, times)


if __name__ == "__main__":
    main()
