"""Memory stays bounded for the photos that phones and cameras take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.conftest import PHOTOS, ROOT


@pytest.mark.parametrize(
    "words",
    [
        ("-p", "grey studio backdrop", "--steps", "4", "--seed", "0"),
        ("-p", "grey studio backdrop", "--steps", "1", "--best-of", "2", "--box", "400,200,5000,3700"),
        ("--background", "transparent", "--shadow", "--subject-scale", "1", "--subject-position", "0.5,0.5"),
    ],
    ids=["painted", "best of two, with a box", "given"],
)
def test_24_megapixels_with_nano_stay_under_1_5_gb(words: tuple[str, ...], tmp_path: Path) -> None:
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        photo.resize((6000, 4000), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=90)
    command = [sys.executable, "-m", "cyclorama", "generate", str(tmp_path / "large.jpg"), *words]
    command += ["-o", str(tmp_path / "out.png"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    report = json.loads(done.stdout)["images"][0]
    assert report["size"] == [6000, 4000]
    assert report["peak_memory"] < 1.5e9
    if words[0] == "-p":  # where the subject stays in its place
        with Image.open(tmp_path / "out.png") as out, Image.open(tmp_path / "large.jpg") as photo:
            kept = (2900, 1600, 3000, 1700)  # inside the cup
            np.testing.assert_array_equal(np.asarray(out.crop(kept)), np.asarray(photo.crop(kept)))
            blurred = out.reduce(10).filter(ImageFilter.GaussianBlur(2))
            assert blurred.getpixel((5, 5)) != photo.reduce(10).getpixel((5, 5))
