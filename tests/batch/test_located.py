"""Photos and pictures in an object store: moto's server, as S3 answers."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from cyclorama.batch.journal import records
from cyclorama.batch.located import located
from cyclorama.engine.errors import InvalidOptions
from tests.batch.conftest import stored
from tests.batch.test_batch import FAST, batch, digests


@pytest.fixture
def few(photos: Path) -> Path:
    """Three photos, and one that is none."""
    for photo in photos.iterdir():
        if photo.name[:2] not in ("00", "01", "02", "em"):
            photo.unlink()
    return photos


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
        (("nope://shop/in", "-o", tmp_path / "out"), "there is no store nope://; s3 and gs are known"),
        (("https://example.org/in.jpg", "-o", tmp_path / "out"), "there is no store https://"),
    ):
        outcome = batch(*words, *FAST)
        assert outcome.exit_code in (1, 2, 3)
        assert told in outcome.stderr
        assert "Traceback" not in outcome.output
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(InvalidOptions, match=r"pip install 'cyclorama\[stores\]'"):
        located("s3://shop/in")
