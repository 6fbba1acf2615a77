"""Puts the committed figures into README and docs, and draws their plots: `python -m cyclorama.benchmarks.pages`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cyclorama.benchmarks.report import Report, headlines, plot, profiles, tables

_ROOT = Path(__file__).resolve().parent.parent
BLOCKS: dict[str, tuple[str, tuple[str, ...], Callable[..., str]]] = {
    "speed": ("README.md", ("results.json", "profiles/*.json"), headlines),
    "benchmark": ("docs/benchmarks.md", ("results.json",), tables),
    "profiles": ("docs/benchmarks.md", ("profiles/*.json",), lambda *reports: profiles(reports)),
    "masks": ("docs/masks.md", ("masks.json",), tables),
}
"""By the name in the comments around it: the page, the files of figures that it is made from, and how."""


def filled(name: str) -> str:
    """A block's page with the committed figures in it."""
    page, files, made = BLOCKS[name]
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, rest = (_ROOT / page).read_text(encoding="utf-8").split(begin)
    return f"{before}{begin}{made(*_reports(files))}{end}{rest.split(end)[1]}"


def _reports(files: tuple[str, ...]) -> list[Report]:
    paths = [path for pattern in files for path in sorted((_ROOT / "benchmarks").glob(pattern))]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _main() -> None:
    for name, (page, _, _) in BLOCKS.items():
        (_ROOT / page).write_text(filled(name), encoding="utf-8")
    for report in _reports(("results.json", "profiles/*.json")):
        plot(report, _ROOT / "docs" / "benchmark")


if __name__ == "__main__":
    _main()
