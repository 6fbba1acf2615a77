"""What the tests of batches share."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import PHOTOS


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten cut from the shipped ones, and two that are none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(["cat", "coffee", "astronaut", "bowl", "drum"] * 2):
        image = Image.open(PHOTOS / f"{name}.jpg")
        width, height = image.size
        image.crop((0, 0, width - number, height - number)).resize((240, 200)).save(folder / f"{number:02d}-{name}.png")
    (folder / "broken.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes()[:3000])
    (folder / "empty.png").touch()
    return folder
