"""Puts the committed figures into the README and draws its plots: `python -m cyclorama.benchmarks.readme`."""

from __future__ import annotations

import json
from pathlib import Path

from cyclorama.benchmarks.report import plot, tables

_ROOT = Path(__file__).parent.parent
BLOCKS = {"benchmark": "results.json", "masks": "masks.json"}
"""Of the README, and the figures that each is made from."""


def block(name: str) -> tuple[str, str]:
    """The comments before and after a block of that name."""
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"


def _main() -> None:
    readme = _ROOT / "README.md"
    for name, file in BLOCKS.items():
        report = json.loads((_ROOT / "benchmarks" / file).read_text(encoding="utf-8"))
        begin, end = block(name)
        before, rest = readme.read_text(encoding="utf-8").split(begin)
        readme.write_text(f"{before}{begin}{tables(report)}{end}{rest.split(end)[1]}", encoding="utf-8")
        plot(report, _ROOT / "docs" / "benchmark")


if __name__ == "__main__":
    _main()
