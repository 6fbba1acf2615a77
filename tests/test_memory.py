"""Memory stays bounded for the photos that phones and cameras take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from tests.conftest import PHOTOS


def test_24_megapixels_with_nano_stay_under_1_5_gb(tmp_path: Path) -> None:
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        photo.resize((6000, 4000), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=90)
    command = [sys.executable, "-m", "cli", "generate", str(tmp_path / "large.jpg"), "-p", "grey studio backdrop"]
    command += ["--steps", "4", "--seed", "0", "-o", str(tmp_path / "out.png"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    report = json.loads(done.stdout)["images"][0]
    assert report["size"] == [6000, 4000]
    assert report["peak_memory"] < 1.5e9
    with Image.open(tmp_path / "out.png") as out, Image.open(tmp_path / "large.jpg") as photo:
        kept = (2900, 1600, 3000, 1700)  # inside the cup
        np.testing.assert_array_equal(np.asarray(out.crop(kept)), np.asarray(photo.crop(kept)))
        blurred = out.reduce(10).filter(ImageFilter.GaussianBlur(2))
        assert blurred.getpixel((5, 5)) != photo.reduce(10).getpixel((5, 5))
