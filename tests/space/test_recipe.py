"""The command and the Python lines make the very picture that they are shown beside."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Semaphore
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cyclorama import BackgroundGenerator, load_photo
from cyclorama.cli import main
from cyclorama.serving.jobs import JobQueue
from cyclorama.serving.requests import LIMITS
from cyclorama.serving.service import Service
from cyclorama.space import mask, recipe
from cyclorama.space.mounting import Parts
from cyclorama.space.painting import paint
from cyclorama.space.strokes import checked
from cyclorama.space.visits import Visit, Visits
from tests.conftest import PHOTOS

BRUSH = [{"kind": "add", "radius": 12, "points": [[400, 40], [420, 80]]}]
BOX = [{"kind": "box", "box": [20, 10, 400, 280]}]
WISHES: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
    ([], {"prompt": "a sandy beach", "n": 2, "num_inference_steps": 2}),
    (BRUSH, {"prompt": "it's \"new\"", "preset": "balanced", "guidance_interval": "0,0.5", "seed": 9, "canvas": "4:5"}),
    (BOX, {"prompt": "a garden", "working_size": 192, "subject_scale": 0.5, "subject_position": "0.5,1", "seed": 3,
           "num_inference_steps": 3, "shadow": True, "sampler": "euler", "negative_prompt": "cars"}),
    ([], {"behind": "colour", "colour": "#f0f0f0", "shadow": True, "canvas": "square", "mask_model": "u2netp"}),
    (BRUSH, {"behind": "blur"}),
    ([], {"behind": "transparent"}),
    ([], {"behind": "picture", "colour_match": True}),
]  # fmt: skip


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with BackgroundGenerator.load("nano", limits=LIMITS) as generator:
        queue = JobQueue()
        yield Parts(Service({"nano": generator}), queue, Visits(tmp_path_factory.mktemp("visits")), Semaphore(1))
        queue.close()


def painted(parts: Parts, strokes: list[dict[str, Any]], wish: dict[str, Any]) -> Visit:
    data = (PHOTOS / "cat.jpg").read_bytes()
    visit = parts.visits.bring(None, data, load_photo(data), "my cat.jpg")
    backdrop = (PHOTOS / "flower.jpg").read_bytes()
    parts.visits.bring_backdrop(visit, backdrop, load_photo(backdrop))
    visit = parts.visits.change(visit, lambda one: replace(one, strokes=checked(strokes, one.size))) or visit
    job = paint(parts, visit, [{"behind": "painted", **wish}])
    while not job.is_over:
        time.sleep(0.01)
    assert job.error is None
    found = parts.visits.find(visit.id)
    assert found is not None
    return found


@pytest.mark.parametrize(("strokes", "wish"), WISHES)
def test_both_make_the_same_picture(
    parts: Parts, strokes: list[dict[str, Any]], wish: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = painted(parts, strokes, wish)
    monkeypatch.chdir(tmp_path)
    Path("my cat.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes())
    Path("backdrop.jpg").write_bytes((PHOTOS / "flower.jpg").read_bytes())
    cutout = parts.service.cutout(parts.visits.photo(visit), mask.subject_of(visit), visit.owner)
    Image.fromarray(cutout.photo_alpha).save("mask.png")
    shown = visit.results[-1]
    wanted = np.asarray(Image.open(parts.visits.folder / visit.id / f"{shown.name}.png"))
    words = shlex.split(recipe.command(shown))
    outcome = CliRunner().invoke(main, words[1:])
    assert outcome.exit_code == 0, outcome.output
    assert (np.asarray(Image.open("out.png")) == wanted).all()
    Path("out.png").unlink()
    exec(recipe.python(shown), {})
    assert (np.asarray(Image.open("out.png")) == wanted).all()
