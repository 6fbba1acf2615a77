"""Photos and pictures in an object store: moto's server, as S3 answers."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import httpx
import pytest
from moto.server import ThreadedMotoServer

from cyclorama.batch.journal import records
from cyclorama.batch.located import here, located
from cyclorama.engine.errors import InvalidOptions
from tests.batch.test_batch import FAST, batch, digests
from tests.cluster import Cluster


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """An empty bucket `shop`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("CYCLORAMA_HOME", str(tmp_path / "home"))
    for name, value in {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "mine", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    fsspec.filesystem("s3").clear_instance_cache()
    found = fsspec.filesystem("s3")
    found.mkdir("shop")
    yield found
    httpx.post(f"http://127.0.0.1:{port}/moto-api/reset")  # what it holds is the process's
    server.stop()


@pytest.fixture
def few(photos: Path) -> Path:
    """Three photos, and one that is none."""
    for photo in photos.iterdir():
        if photo.name[:2] not in ("00", "01", "02", "em"):
            photo.unlink()
    return photos


def stored(store: Any, folder: str) -> dict[str, str]:
    store.invalidate_cache()
    names = [name for name in store.find(folder) if "/." not in name and name.endswith(".png")]
    return {name.rpartition("/")[2]: hashlib.sha256(store.cat(name)).hexdigest() for name in names}


def test_the_same_pictures_as_in_folders(store: Any, few: Path, tmp_path: Path) -> None:
    for photo in few.iterdir():
        store.put(str(photo), f"shop/in/{photo.name}")
    out, given = tmp_path / "out", (*FAST, "--json", "--workers", "1", "--threads", "2")
    assert batch(few, "-o", out, *given).exit_code == 3
    outcome = batch("s3://shop/in", "-o", "s3://shop/out", *given)
    assert outcome.exit_code == 3, outcome.output
    told = json.loads(outcome.stdout)
    assert (told["done"], told["failed"], told["errors"]) == (3, 1, {"bad_image": 1})
    made = stored(store, "shop/out")
    assert made == digests(out)
    page = store.cat("shop/out/review.html").decode()
    assert page.count("<img ") == 3
    assert "4 pictures" in page
    # Another machine has the bucket only.
    shutil.rmtree(tmp_path / "home")
    again = json.loads(batch("s3://shop/in", "-o", "s3://shop/out", *given).stdout)
    assert (again["done"], again["skipped"], again["failed"]) == (0, 3, 1)
    store.rm("shop/out/00-cat.png")
    store.pipe("shop/in/01-coffee.png", (few / "02-astronaut.png").read_bytes())
    last = json.loads(batch("s3://shop/in", "-o", "s3://shop/out", *given, "--verify").stdout)
    assert (last["done"], last["skipped"]) == (2, 1)
    assert stored(store, "shop/out")["00-cat.png"] == made["00-cat.png"]
    assert stored(store, "shop/out")["01-coffee.png"] != made["01-coffee.png"]


def test_a_table_names_objects_and_their_masks(store: Any, photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    assert batch(photos / "00-cat.png", "-o", masks, "--only-masks").exit_code == 0
    store.put(str(masks / "00-cat.png"), "shop/masks/cat.png")
    store.put(str(photos / "00-cat.png"), "shop/cat.png")
    row = {"photo": "s3://shop/cat.png", "mask": "s3://shop/masks/cat.png", "background": "#ffffff"}
    table = "".join(f"{json.dumps(one)}\n" for one in (row, {**row, "photo": "s3://shop/none.png"}))
    store.pipe("shop/table.jsonl", table.encode())
    outcome = batch("s3://shop/table.jsonl", "-o", tmp_path / "out")
    assert outcome.exit_code == 3, outcome.output
    made = {record["output"]: record for record in records(tmp_path / "out")}
    assert made["cat.png"]["state"] == "done"
    assert "s3://shop/none.png cannot be read" in made["none.png"]["error"]["message"]


def test_what_cannot_be_reached_is_told_in_a_line(
    store: Any, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photo = photos / "00-cat.png"
    for words, told in (
        ((photo, "-o", "s3://nobody/out"), "s3://nobody/out"),
        (("s3://shop/empty", "-o", tmp_path / "out"), "there is no s3://shop/empty"),
        (("nope://shop/in", "-o", tmp_path / "out"), "there is no store nope://; s3:// and gs:// are known"),
    ):
        outcome = batch(*words, *FAST)
        assert outcome.exit_code in (1, 2, 3)
        assert told in outcome.stderr
        assert "Traceback" not in outcome.output
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(InvalidOptions, match=r"pip install 'cyclorama\[stores\]'"):
        located("s3://shop/in")


def test_a_cluster_reads_and_writes_a_store(store: Any, few: Path, tmp_path: Path) -> None:
    """No folder is shared."""
    for photo in few.iterdir():
        store.put(str(photo), f"shop/in/{photo.name}")
    (tmp_path / "node").mkdir()
    cluster = Cluster(tmp_path / "node", "")
    try:
        words = ["batch", "s3://shop/in", "-o", "s3://shop/out", *FAST, "--threads", "1", "--ray", cluster.address]
        command = [sys.executable, "-m", "cyclorama", *words]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    finally:
        cluster.end()
    assert ran.returncode == 3, ran.stderr
    made = {record["output"]: record["state"] for record in records(located("s3://shop/out"))}
    assert sorted(made.values()) == ["done"] * 3 + ["failed"]
    here_too = tmp_path / "out"
    assert batch(few, "-o", here_too, *FAST, "--workers", "1", "--threads", "1").exit_code == 3
    assert stored(store, "shop/out") == digests(here_too)
    assert not store.find("shop/out/.review/attempts")
    assert store.cat("shop/out/review.html").count(b"<img ") == 3
    assert here(located("s3://shop/out")).is_relative_to(tmp_path / "home")
