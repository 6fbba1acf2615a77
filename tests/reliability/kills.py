"""Killed at random moments, again and again: `python -m tests.reliability.kills [--seed N] [WHAT ...]`.

By -9, and the server also by the signals that a crash in native code ends with.
A finding is a half file, a lost one, a traceback in the next run, or another result than that of an unbroken run.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
from PIL import Image

from cyclorama.batch.journal import records
from cyclorama.models.catalogue import embedded
from tests.checkpoints import make_checkpoint
from tests.conftest import PHOTOS
from tests.hub import Hub, serve
from tests.reliability.soak import is_ready
from tests.reliability.trials import Account, Trial, digest, is_same, report, run, whole

_BATCH, _BROKEN, _BATCH_KILLS = 300, 12, 20
_FAST = ("-p", "a sandy beach", "--steps", "1", "--size", "128", "--seed", "3")
_CRASHES = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE)
_NAMES = ("cat", "coffee", "astronaut", "bowl", "drum")


def _killed(
    process: subprocess.Popen[str], seconds: float, account: Account, how: signal.Signals = signal.SIGKILL
) -> bool:
    """Kills it and all that it started after so many seconds; whether it was not done before."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        account.midway += 1
    if process.poll() is None:
        os.killpg(process.pid, how)
    process.communicate()
    account.times += 1
    return process.returncode == -how


def generate(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """Over a picture that is there already: the old one or the new one stays, whole."""
    out, home = folder / "out.png", folder / "home"
    words = ["generate", str(PHOTOS / "cat.jpg"), *_FAST, "-o", str(out)]
    whole(words, home, account)
    seconds, new = whole(words, home, account), digest(out)
    Image.new("RGB", (8, 8)).save(folder / "old.png")
    for _ in range(times):
        shutil.copy(folder / "old.png", out)
        _killed(run(words, home), chance.uniform(0, seconds), account)
        account.check(digest(out) in (new, digest(folder / "old.png")), "generate: half a picture")
    whole(words, home, account)
    account.check(digest(out) == new, "generate: another picture after the kills")


def batch(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """300 photos, a dozen of them broken: nothing missing, nothing twice, the bytes of an unbroken run."""
    photos, home = folder / "photos", folder / "home"
    photos.mkdir()
    for number in range(_BATCH - _BROKEN):
        image = Image.open(PHOTOS / f"{_NAMES[number % len(_NAMES)]}.jpg")
        x, y = chance.randrange(image.width // 8), chance.randrange(image.height // 8)
        image.crop((x, y, image.width - x, image.height - y)).resize((240, 200)).save(photos / f"{number:03d}.jpg")
    cat = (PHOTOS / "cat.jpg").read_bytes()
    for number in range(_BROKEN):
        (photos / f"broken-{number:02d}.jpg").write_bytes(cat[: chance.randrange(len(cat) // 2)])
    unbroken, out = folder / "unbroken", folder / "out"
    words = ["batch", str(photos), *_FAST, "--workers", "2", "--threads", "1"]
    seconds = whole([*words, "-o", str(unbroken)], home, account, code=3)
    for _ in range(times):
        _killed(run([*words, "-o", str(out)], home), chance.uniform(1, max(2.0, 2 * seconds / times)), account)
    whole([*words, "-o", str(out)], home, account, code=3)
    made, wanted = _pictures(out), _pictures(unbroken)
    account.check(made.keys() == wanted.keys(), f"batch: {len(wanted.keys() - made.keys())} missing")
    other = [name for name in made if made[name] != wanted.get(name)]
    account.check(not other, f"batch: other bytes in {other[:5]}")
    told = Counter(record["output"] for record in records(out) if record["state"] == "done")
    account.check(told.keys() == wanted.keys(), "batch: the journal and the folder differ")
    # A picture whose line was not written yet when all was killed is made again: the file stays one.
    twice = sum(told.values()) - len(told)
    account.check(twice <= 2 * account.times, f"batch: {twice} done twice")
    account.check(not list(out.rglob("*.part")), "batch: parts of files are left")


def pull(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """A model from a hub: nothing half that loads, and the next pull goes on."""
    home, nano = folder / "home", embedded("nano")
    words = ["models", "pull", "me/nano"]
    with serve(Hub({"me/nano": nano})) as hub:
        seconds = whole(words, home, account, HF_ENDPOINT=hub.url)
        listed = home / "models" / "me--nano"
        for _ in range(times):
            if listed.exists():  # and there would be nothing to do
                shutil.rmtree(home)
            _killed(run(words, home, HF_ENDPOINT=hub.url), chance.uniform(0, seconds), account)
            account.check(not listed.exists() or is_same(listed, nano), "pull: half a model has its name")
        whole(words, home, account, HF_ENDPOINT=hub.url)
        whole(["models", "verify", "me/nano"], home, account)


def export(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """A checkpoint to a model folder: there whole, or not at all."""
    checkpoint, out, home = make_checkpoint(folder / "tiny"), folder / "model", folder / "home"
    words = ["export", str(checkpoint), str(out), "--format", "onnx"]
    seconds = whole(words, home, account)
    names = {path.name for path in out.rglob("*")}
    for _ in range(times):
        shutil.rmtree(out, ignore_errors=True)
        if _killed(run(words, home), chance.uniform(0, seconds), account) and out.exists():
            account.check({path.name for path in out.rglob("*")} == names, "export: half a model has its name")
    shutil.rmtree(out, ignore_errors=True)
    whole(words, home, account)
    left = [path.name for path in folder.iterdir() if path not in (checkpoint, out, home)]
    account.check(not left, f"export: {left} are left")


@contextmanager
def _limit(most: int) -> Iterator[tuple[str, ...]]:
    """What puts a command into a control group (v2, or v1) of so many bytes of memory. Raises OSError."""
    is_new = Path("/sys/fs/cgroup/cgroup.controllers").is_file()
    group = Path("/sys/fs/cgroup" if is_new else "/sys/fs/cgroup/memory") / f"cyclorama-{os.getpid()}"
    group.mkdir()
    try:
        (group / ("memory.max" if is_new else "memory.limit_in_bytes")).write_text(str(most))
        yield "sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"
    finally:
        until = time.monotonic() + 10  # workers whose run was killed end by themselves
        while (group / "cgroup.procs").read_text() and time.monotonic() < until:
            time.sleep(0.1)
        group.rmdir()


def memory(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """Less than is needed, so that the kernel kills: what is needed is said before, and no other photo pays."""
    out, home, photos = folder / "out.png", folder / "home", folder / "photos"
    photos.mkdir()
    for number in range(3):
        Image.open(PHOTOS / "cat.jpg").resize((240 + number, 200)).save(photos / f"{number}.jpg")
    generating = ["generate", str(PHOTOS / "cat.jpg"), *_FAST, "-o", str(out)]
    whole(generating, home, account)
    new = digest(out)
    Image.new("RGB", (8, 8)).save(folder / "old.png")
    batching = ["batch", str(photos), *_FAST, "--workers", "1", "--threads", "2", "--retry-failed"]
    whole([*batching, "-o", str(folder / "unbroken")], home, account)
    for number in range(times):
        shutil.copy(folder / "old.png", out)
        with _limit(round(chance.uniform(1e8, 5e8))) as before:
            process = run(generating, home, *before)
            said = process.communicate(timeout=300)[1]
        account.times += 1
        account.midway += process.returncode != 0
        account.check(process.returncode in (0, -signal.SIGKILL), f"memory: {process.returncode}, {said[-300:]}")
        wanted = digest(folder / "old.png") if process.returncode else new
        account.check(digest(out) == wanted, "memory: half a picture")
        if process.returncode and "loading" in said:
            account.check("GB are free" in said, f"memory: it was not said before: {said[-300:]}")
        if number % 4 == 0:
            made = folder / f"batch-{number}"
            with _limit(round(chance.uniform(2e8, 6e8))) as before:
                process = run([*batching, "-o", str(made)], home, *before)
                said = process.communicate(timeout=300)[1]
            account.check("Traceback" not in said, f"memory: batch: {said[-600:]}")
            whole([*batching, "-o", str(made)], home, account)
            account.check(_pictures(made) == _pictures(folder / "unbroken"), "memory: batch: other pictures")


def _pictures(folder: Path) -> dict[str, str]:
    return {file.name: digest(file) for file in folder.glob("*.png")}


def server(folder: Path, chance: random.Random, account: Account, times: int) -> None:
    """While it loads, waits and paints, as a backend that crashes would: the next one starts on the same port.

    And it paints the same.
    """
    home, photo = folder / "home", (PHOTOS / "cat.jpg").read_bytes()
    expected = None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for number in range(times + 1):
        process = run(["serve", "--port", str(port), "--no-page"], home)
        how = _CRASHES[number % len(_CRASHES)]
        if number % 5 == 4 and number < times:  # while it loads
            _killed(process, chance.uniform(0, 2), account, how)
            continue
        until = time.monotonic() + 60
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > until:
                account.check(False, f"serve: did not start: {process.communicate()[1][-300:]}")
                return
            time.sleep(0.05)
        address = f"http://127.0.0.1:{port}/v1"
        fields = {"prompt": "a sandy beach", "seed": "3", "num_inference_steps": "4", "working_size": "128"}
        if number in (0, times):
            answer = httpx.post(f"{address}/images/edits", files={"image": photo}, data=fields, timeout=60).json()
            painted = answer["data"][0]["b64_json"]
            expected = expected or painted
            account.check(painted == expected, "serve: another picture after the kills")
        else:
            httpx.post(f"{address}/jobs", files={"image": photo}, data=fields, timeout=60).raise_for_status()
        if number < times:
            _killed(process, chance.uniform(0, 1), account, how)
        else:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=60)


_TRIALS: dict[str, tuple[Trial, int]] = {
    "generate": (generate, 50), "batch": (batch, _BATCH_KILLS), "pull": (pull, 50), "export": (export, 10),
    "memory": (memory, 20), "serve": (server, 50),
}  # fmt: skip


@click.command()
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
@click.option("--times", type=click.IntRange(1), help="Kills of each; default: 10 to 50.")
@click.argument("what", nargs=-1, type=click.Choice(list(_TRIALS)))
def main(seed: int, times: int | None, what: tuple[str, ...]) -> None:
    """Kill, look, and print a table in Markdown. Ends with 1 where there are findings."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    report("kills", "of them before it was done", {name: _TRIALS[name] for name in what or _TRIALS}, seed, times)


if __name__ == "__main__":
    main()
