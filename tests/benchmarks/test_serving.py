"""`benchmark --serve`, with few requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cyclorama.benchmarks import serving
from cyclorama.cli import main


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, few in (("_ROUNDS", 1), ("_REQUESTS", 3), ("_CLIENTS", (1, 2)), ("_IN_A_ROW", 4), ("_FIRST", 1)):
        monkeypatch.setattr(serving, name, few)
    monkeypatch.setattr(serving, "_SIZES", {"a small one": (300, 200)})
    out = tmp_path / "figures.json"
    outcome = CliRunner().invoke(main, ["benchmark", "--serve", "--output", str(out)], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    figures = json.loads(out.read_text())["serving"]
    row = figures["overhead"]["a small one"]
    assert row["http"] > 0.5 * row["python"] > 0
    assert [row["clients"] for row in figures["clients"]] == [1, 2]
    assert all(row["refused"] == 0 < row["rate"] for row in figures["clients"])
    assert 100e6 < figures["memory"][0] <= figures["memory"][-1] * 1.5
    assert "| a small one |" in outcome.stdout
    assert CliRunner().invoke(main, ["benchmark", "--serve", "--masks"]).exit_code == 2
