"""`python -m benchmarks.readme` puts the committed figures into the README and draws the plots beside its pictures."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.report import plot, tables

_ROOT = Path(__file__).parent.parent
_BEGIN, _END = "<!-- benchmark: begin -->\n", "<!-- benchmark: end -->"


def _main() -> None:
    report = json.loads((_ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    readme = _ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(_BEGIN)
    readme.write_text(f"{before}{_BEGIN}{tables(report)}{_END}{rest.split(_END)[1]}", encoding="utf-8")
    plot(report, _ROOT / "docs" / "benchmark")


if __name__ == "__main__":
    _main()
