"""What tests of the generator share."""

from __future__ import annotations

import pytest

from cyclorama import BackgroundGenerator, Scene
from tests.conftest import PHOTOS


@pytest.fixture(scope="module")
def nano() -> BackgroundGenerator:
    return BackgroundGenerator.load("nano")


@pytest.fixture(scope="module")
def scene(nano: BackgroundGenerator) -> Scene:
    return nano.prepare(PHOTOS / "astronaut.jpg")
