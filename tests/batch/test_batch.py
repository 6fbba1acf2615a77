"""`cyclorama batch`: all done once, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from PIL import Image, ImageFilter

from cyclorama import BadImage, cut_out
from cyclorama.batch import run, worker
from cyclorama.batch.journal import records
from cyclorama.batch.manifest import Row, rows
from cyclorama.batch.review import MOST, write_review
from cyclorama.batch.run import _Workers
from cyclorama.cli import main

FAST = ("-p", "a sandy beach", "--steps", "1", "--size", "128")
SLOWER = ("-p", "a sandy beach", "--steps", "20", "--size", "128")  # for a test's process may be kept waiting a second


def batch(*words: object) -> Result:
    return CliRunner().invoke(main, ["batch", *map(str, words)])


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.png")}


def test_a_run_and_the_same_run_again(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = batch(photos, "-o", out, *FAST, "--json")
    assert outcome.exit_code == 3, outcome.output
    told = json.loads(outcome.stdout)
    assert (told["pictures"], told["done"], told["failed"], told["errors"]) == (12, 10, 2, {"bad_image": 2})
    made = {record["output"]: record for record in records(out)}
    assert len(made) == 12
    assert made["broken.png"]["error"]["code"] == BadImage.code
    for name, digest in digests(out).items():
        assert made[name]["sha256"] == digest
        assert Image.open(out / name).text["parameters"].startswith("a sandy beach")  # type: ignore[attr-defined]
    before = {file: file.stat().st_mtime_ns for file in out.glob("*.png")}
    again = batch(photos, "-o", out, *FAST, "--json")
    assert again.exit_code == 3
    assert json.loads(again.stdout) | {"seconds": 0} == told | {
        "done": 0, "skipped": 10, "failed": 2, "errors": {}, "seconds": 0,
    }  # fmt: skip
    assert {file: file.stat().st_mtime_ns for file in out.glob("*.png")} == before
    # What has changed is done again, and nothing else: a photo, a picture that is gone, one that was damaged.
    Image.open(photos / "00-cat.png").rotate(180).save(photos / "00-cat.png")
    (out / "01-coffee.png").unlink()
    (out / "02-astronaut.png").write_bytes(b"damaged")
    (photos / "empty.png").write_bytes((photos / "03-bowl.png").read_bytes())
    third = batch(photos, "-o", out, *FAST, "--json", "--verify", "--retry-failed")
    assert json.loads(third.stdout)["done"] == 4
    assert json.loads(third.stdout)["failed"] == 1
    (photos / "broken.jpg").unlink()
    assert batch(photos, "-o", out, *FAST).exit_code == 0


def test_killed_again_and_again_it_makes_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert batch(photos, "-o", whole, *FAST, "--workers", 2).exit_code == 3
    command = [sys.executable, "-m", "cyclorama", "batch", str(photos), "-o", str(killed), *FAST, "--workers", "2"]
    chance = random.Random(7)
    kills = 0
    for _ in range(30):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(2.5, 6) if kills < 3 else 120)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert process.returncode == 3
    assert kills >= 2
    assert digests(killed) == digests(whole)
    done = Counter(record["output"] for record in records(killed) if record["state"] == "done")
    assert sum(done.values()) - len(done) <= 2 * kills, "at most what ran when it was killed was done twice"
    assert not list(killed.rglob("*.part"))


def test_ctrl_c_while_workers_begin_ends_none_of_them(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cyclorama", "batch", str(photos), "-o", str(out), "--workers", "2", *FAST]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        begun = psutil.Process(process.pid)
        while sum("spawn_main" in " ".join(child.cmdline()) for child in begun.children()) < 2:
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "0 failed" in said
    assert "Traceback" not in said


def test_ctrl_c_finishes_what_runs_and_says_how_to_go_on(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cyclorama", "batch", str(photos), "-o", str(out), *SLOWER]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not list(out.glob("*.png")):
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the same command goes on" in said
    assert "Traceback" not in said
    done = {record["output"] for record in records(out) if record["state"] == "done"}
    assert {file.name for file in out.glob("*.png")} == done
    assert batch(photos, "-o", out, *SLOWER).exit_code == 3
    assert len(digests(out)) == 10


def test_a_worker_that_dies_costs_its_photo_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a module that the workers load as Python starts: it ends the process at one photo."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "from cyclorama.batch import worker\n"
        "whole = worker.Worker.make\n"
        "def make(self, row, key):\n"
        "    if row.photo.name == '03-bowl.png':\n"
        "        os._exit(9)\n"
        "    return whole(self, row, key)\n"
        "worker.Worker.make = make\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    out = tmp_path / "out"
    outcome = batch(photos, "-o", out, *FAST, "--json")
    assert outcome.exit_code == 3
    assert json.loads(outcome.stdout)["errors"] == {"bad_image": 2, "worker_died": 1}
    assert len(digests(out)) == 9


def test_a_worker_that_dies_between_two_rows_costs_none(photos: Path, tmp_path: Path) -> None:
    how = worker.How(tmp_path / "out", "nano", "auto", "cpu", 2, False, 0, True)
    planned = list(rows([photos], {}))[:4]

    def due() -> Iterator[tuple[Row, str]]:
        for number, row in enumerate(planned):
            if number == 2:
                (own,) = workers._pool._processes.values()
                own.kill()
                own.join()
                while not workers._pool._broken:
                    time.sleep(0.01)
            yield row, str(number)

    with _Workers(how, 1) as workers:
        made = list(workers.records(due()))
    assert sorted(record["key"] for record in made) == ["0", "1", "2", "3"]
    assert {record["state"] for record in made} == {"done"}


def test_given_backgrounds_masks_and_corrected_masks(photos: Path, tmp_path: Path) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    assert batch(photos, "-o", masks, "--only-masks").exit_code == 3
    alpha = np.asarray(Image.open(masks / "00-cat.png"))
    assert alpha.shape == (200, 240)
    corrected = tmp_path / "corrected"
    corrected.mkdir()
    square = np.zeros((200, 240), np.uint8)
    square[50:150, 60:180] = 255
    Image.fromarray(square).save(corrected / "00-cat.png")
    outcome = batch(photos, "-o", out, "--background", "#ffffff", "--masks-from", corrected)
    assert outcome.exit_code == 3, outcome.output
    picture = np.asarray(Image.open(out / "00-cat.png"))
    photo = np.asarray(Image.open(photos / "00-cat.png").convert("RGB"))
    assert (picture[square == 255] == photo[square == 255]).all()
    assert (picture[square == 0] == 255).all()


def test_a_table_with_two_prompts_for_a_photo(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    table.write_text("".join(
        json.dumps({"photo": f"photos/{name}.png", "prompt": prompt, "output": f"{name}/{prompt[2:]}.jpg",
                    "num_inference_steps": 1, "size": 128}) + "\n"
        for name in ("00-cat", "01-coffee") for prompt in ("a beach", "a garden")
    ))  # fmt: skip
    out = tmp_path / "out"
    outcome = batch(table, "-o", out, "--quality", 80)
    assert outcome.exit_code == 0, outcome.output
    assert sorted(str(file.relative_to(out)) for file in out.rglob("*.jpg") if ".review" not in file.parts) == [
        "00-cat/beach.jpg", "00-cat/garden.jpg", "01-coffee/beach.jpg", "01-coffee/garden.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("photos", "-o", "out"), "say what the background is"),
        (("photos", "-o", "out", "-p", "x", "--blur"), "say what the background is once"),
        (("nowhere", "-o", "out", "-p", "x"), "there is no nowhere"),
        (("photos", "-o", "photos", "-p", "x"), "would be lost"),
        (("photos", "-o", "out", "-p", "x", "--model", "nowhere"), "there is no model"),
        (("photos", "-o", "photos/00-cat.png", "-p", "x"), "cannot write"),
        (("photos", "-o", "out", "-p", "   "), "the prompt is empty"),
    ],
)
def test_refusals_before_any_work(
    words: tuple[str, ...], told: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = batch(*words)
    assert outcome.exit_code in (1, 2)
    assert told in outcome.output
    assert not list(tmp_path.rglob("journal.jsonl"))


def test_one_run_at_a_time_and_damaged_journals(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert batch(photos / "00-cat.png", "-o", out, *FAST).exit_code == 0
    with FileLock(out / ".cyclorama-batch.lock"):
        outcome = batch(photos, "-o", out, *FAST)
    assert outcome.exit_code == 2
    assert "another run is writing" in outcome.output
    with (out / "journal.jsonl").open("ab") as file:
        file.write(b'{"output": "01-coffee.png", "state": "do')  # cut off
    assert batch(photos / "00-cat.png", photos / "01-coffee.png", "-o", out, *FAST).exit_code == 0
    lines = (out / "journal.jsonl").read_bytes().splitlines()
    assert json.loads(lines[-1])["output"] == "01-coffee.png"
    assert len(lines) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(stat.S_IRUSR | stat.S_IXUSR)
    outcome = batch(photos, "-o", out, *FAST)
    assert outcome.exit_code == 1
    assert "cannot write" in outcome.output


def test_the_review_puts_what_is_doubtful_first(tmp_path: Path) -> None:
    made: list[dict[str, Any]] = [
        {"output": "fine.png", "state": "done", "doubt": 0.05, "growth": 0.0, "notes": []},
        {"output": "doubtful.png", "state": "done", "doubt": 0.8, "growth": 0.0, "notes": []},
        {"output": "<b>.png", "state": "done", "doubt": 0.1, "growth": 0.3, "notes": []},
        {"output": "failed.png", "state": "failed", "error": {"code": "bad_image", "message": "no <image>"}},
    ]
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(one) + "\n" for one in made))
    assert write_review(tmp_path) == 3
    page = (tmp_path / "review.html").read_text()
    order = [page.index(name) for name in ("failed.png", "doubtful.png", "&lt;b&gt;.png", "fine.png")]
    assert order[0] < min(order[1:])
    assert order[3] == max(order)
    assert "<b>.png" not in page
    assert "no &lt;image&gt;" in page
    assert "http" not in page


def test_the_review_of_very_many_shows_the_most_doubtful(tmp_path: Path) -> None:
    with (tmp_path / "journal.jsonl").open("w") as file:
        for number in range(MOST + 500):
            soft = 0.5 if number == MOST + 400 else 0
            file.write(json.dumps({"output": f"{number}.png", "state": "failed", "error": {"message": "-"}}) + "\n")
            file.write(json.dumps({"output": f"{number}.png", "state": "done", "doubt": 0.1, "soft": soft}) + "\n")
    assert write_review(tmp_path) == 1
    page = (tmp_path / "review.html").read_text()
    assert page.count("<li") == MOST
    assert page.index(f"{MOST + 400}.png") < page.index(">0.png")
    assert "50% of the subject is half transparent" in page
    assert f"{MOST + 500} pictures, 1 to look at" in page


@pytest.mark.parametrize(("alpha", "least", "most"), [("edge", 0, 0.001), ("glass", 0.3, 1)])
def test_softness_is_of_the_middle_not_of_the_edge(alpha: str, least: float, most: float) -> None:
    pixels = np.zeros((400, 400), np.float32)
    pixels[100:300, 100:300] = 255
    if alpha == "glass":
        pixels[150:250, 120:280] = 120
    soft = np.asarray(Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5)))
    assert least <= worker._soft(soft) <= most


def test_a_second_prompt_pays_for_no_mask(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    how = worker.How(tmp_path / "out", "nano", "auto", "cpu", 2, False, 0, False)
    own = worker.Worker(how)
    calls: list[object] = []

    def counted(*given: Any, **more: Any) -> Any:
        calls.append(given)
        return cut_out(*given, **more)

    monkeypatch.setattr(worker, "cut_out", counted)
    table = tmp_path / "t.jsonl"
    table.write_text("".join(
        json.dumps({"photo": "photos/00-cat.png", "prompt": prompt, "output": f"{prompt}.png", "num_inference_steps": 1,
                    "size": 128}) + "\n" for prompt in ("beach", "garden", "city")
    ))  # fmt: skip
    made = [own.make(row, "k") for row in rows([table], {})]
    assert [record["state"] for record in made] == ["done"] * 3
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("memory", "model", "is_refined", "count"),
    [(64e9, "nano", False, 8), (3.5e9, "nano", False, 3), (0.1e9, "nano", False, 1), (3.5e9, None, False, 3),
     (6.5e9, None, True, 2)],
)  # fmt: skip
def test_as_many_workers_as_cores_and_memory(
    memory: float, model: str | None, is_refined: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "available_cores", lambda: 8)
    monkeypatch.setattr(run, "available_memory", lambda: int(memory))
    assert run.workers_for(model, "auto", is_refined) == count
