"""`cyclorama batch --ray` on a real cluster of two nodes: lost nodes, dead workers, a killed driver."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cyclorama.batch.journal import records
from cyclorama.batch.located import located
from tests.batch.conftest import stored
from tests.batch.test_batch import FAST, batch, digests
from tests.cluster import Cluster

POISON = "99-poison.png"
# What ends a worker's process at one photo, whichever node it is on.
KILLER = f"""
import os
try:
    from cyclorama.batch import worker
except ImportError:
    pass
else:
    whole = worker.Worker.make
    def make(self, row, key):
        if row.photo.name == {POISON!r}:
            os._exit(9)
        return whole(self, row, key)
    worker.Worker.make = make
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "node").mkdir()
    started = Cluster(tmp_path / "node", KILLER)
    yield started
    started.end()


def command(photos: Path, out: Path, cluster: Cluster) -> list[str]:
    words = ["batch", str(photos), "-o", str(out), *FAST, "--threads", "1", "--ray", cluster.address]
    return [sys.executable, "-m", "cyclorama", *words]


def finished(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


def done_once(out: Path) -> None:
    done = Counter(record["output"] for record in records(out) if record["state"] == "done")
    assert set(done.values()) == {1}
    assert not list(out.rglob("*.part"))


def last(out: Path) -> dict[str, dict[str, Any]]:
    return {record["output"]: record for record in records(out)}


def test_the_same_bytes_though_a_node_is_lost_and_a_photo_kills_workers(
    photos: Path,
    tmp_path: Path,
    cluster: Cluster,
) -> None:
    here, out = tmp_path / "here", tmp_path / "out"
    shutil.copy(photos / "00-cat.png", photos / POISON)
    with subprocess.Popen(command(photos, out, cluster), stderr=subprocess.PIPE, text=True) as process:
        while len(list(out.glob("*.png"))) < 3:
            assert process.poll() is None
            time.sleep(0.05)
        cluster.lose_a_node()
        _, said = process.communicate(timeout=300)
    assert process.returncode == 3, said
    assert "Traceback" not in said
    made = last(out)
    assert len(made) == 13
    assert made[POISON]["error"]["code"] == "worker_died"
    assert sum(record["state"] == "done" for record in made.values()) == 10
    done_once(out)
    (photos / POISON).unlink()
    words = [sys.executable, "-m", "cyclorama", "batch", str(photos), "-o", str(here), *FAST, "--threads", "1"]
    assert finished(words).returncode == 3
    assert digests(here) == digests(out)


def test_a_killed_driver_goes_on_where_it_was_though_no_folder_is_shared(
    store: Any, photos: Path, tmp_path: Path, cluster: Cluster
) -> None:
    here = tmp_path / "here"
    assert batch(photos, "-o", here, *FAST, "--workers", "1", "--threads", "1").exit_code == 3
    for photo in photos.iterdir():
        store.put(str(photo), f"shop/in/{photo.name}")
    source, out = located("s3://shop/in"), located("s3://shop/out")
    with subprocess.Popen(command(source, out, cluster), stderr=subprocess.DEVNULL) as process:
        while len(list(records(out))) < 3:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    before = {record["output"] for record in records(out)}
    outcome = finished([*command(source, out, cluster), "--json"])
    assert outcome.returncode == 3, outcome.stderr
    told = json.loads(outcome.stdout)
    assert (told["pictures"], told["failed"]) == (12, 2)
    assert told["skipped"] == len(before - {"broken.png", "empty.png"})
    assert told["done"] + told["skipped"] == 10
    assert stored(store, "shop/out") == digests(here)
    assert set(Counter(one["output"] for one in records(out) if one["state"] == "done").values()) == {1}
    assert not store.find("shop/out/.review/attempts")
    assert store.cat("shop/out/review.html").count(b"<img ") == 10


def test_no_cluster_is_told_in_one_line(photos: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "cyclorama", "batch", str(photos), "-o", str(tmp_path / "out"), "-p", "a beach"]
    outcome = finished([*words, "--ray", "127.0.0.1:1"])
    assert outcome.returncode == 1
    assert outcome.stderr.splitlines()[-1].startswith("Error: no Ray cluster answers at 127.0.0.1:1")
    assert not list(tmp_path.rglob("journal.jsonl"))
