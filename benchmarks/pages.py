"""Puts the committed figures into README and docs, and draws their plots: `python -m cyclorama.benchmarks.pages`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cyclorama.benchmarks.report import Report, headlines, plot, tables

_ROOT = Path(__file__).resolve().parent.parent
BLOCKS: dict[str, tuple[str, str, Callable[[Report], str]]] = {
    "speed": ("README.md", "results.json", headlines),
    "benchmark": ("docs/benchmarks.md", "results.json", tables),
    "masks": ("docs/masks.md", "masks.json", tables),
}
"""By the name in the comments around it: the page, the figures that it is made from, and how."""


def filled(name: str) -> str:
    """A block's page with the committed figures in it."""
    page, file, made = BLOCKS[name]
    report = json.loads((_ROOT / "benchmarks" / file).read_text(encoding="utf-8"))
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, rest = (_ROOT / page).read_text(encoding="utf-8").split(begin)
    return f"{before}{begin}{made(report)}{end}{rest.split(end)[1]}"


def _main() -> None:
    for name, (page, file, _) in BLOCKS.items():
        (_ROOT / page).write_text(filled(name), encoding="utf-8")
        plot(json.loads((_ROOT / "benchmarks" / file).read_text(encoding="utf-8")), _ROOT / "docs" / "benchmark")


if __name__ == "__main__":
    _main()
