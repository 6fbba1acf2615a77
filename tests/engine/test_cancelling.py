"""Looks for a subject stop where a server's worker says so."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama import Cancelled, find_subject, load_photo
from cyclorama.engine.cancelling import cancelled_by
from cyclorama.engine.matting.networks import OnnxMask
from tests.conftest import PHOTOS


def test_a_mask_stops_before_its_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = load_photo(PHOTOS / "coffee.jpg").rgb
    event, looks = threading.Event(), 0
    confidence = OnnxMask.confidence

    def last(self: OnnxMask, image: Image.Image) -> np.ndarray[Any, Any]:
        nonlocal looks
        looks += 1
        event.set()
        return confidence(self, image)

    monkeypatch.setattr(OnnxMask, "confidence", last)
    with cancelled_by(event), pytest.raises(Cancelled):
        find_subject(rgb)
    assert looks == 1
    assert find_subject(rgb).any()  # outside the block nothing is asked
