"""Two hundred of `make fuzz`'s inputs with every change, and those that were found to be taken badly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.fuzz import TARGETS, tried

_COUNTS = {"photos": 80, "masks": 30, "manifests": 40, "weights": 20, "requests": 20, "models": 6, "checkpoints": 4}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore")
def test_what_is_spoilt_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    wrong = {number: tried(name, number, 1, tmp_path) for number in range(_COUNTS[name])}
    assert {number: what for number, what in wrong.items() if what} == {}
