"""What the scripts that do harm have in common: commands run to their end, and an account of what was found."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.conftest import ROOT


@dataclass
class Account:
    """What was tried and what came of it."""

    times: int = 0
    midway: int = 0
    findings: list[str] = field(default_factory=list)

    def check(self, is_so: bool, told: str) -> None:
        if not is_so:
            self.findings.append(told)


Trial = Callable[[Path, random.Random, Account, int], None]
"""Tries something so many times in an empty folder."""


def run(words: list[str], home: Path, *before: str, **variables: str) -> subprocess.Popen[str]:
    """Begins a command in a group of its own. before: words that run it, as `env` and its kin do."""
    environment = {**os.environ, "CYCLORAMA_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **variables}
    return subprocess.Popen(
        [*before, sys.executable, "-m", "cyclorama", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT, start_new_session=True,
    )  # fmt: skip


def whole(words: list[str], home: Path, account: Account, code: int = 0, **variables: str) -> float:
    """Runs to its end, and how many seconds that took."""
    start = time.monotonic()
    process = run(words, home, **variables)
    _, said = process.communicate(timeout=1200)
    account.check(process.returncode == code, f"{' '.join(words[:2])} ended with {process.returncode}: {said[-300:]}")
    account.check("Traceback" not in said, f"{' '.join(words[:2])}: {said[-600:]}")
    return time.monotonic() - start


def digest(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_same(one: Path, other: Path) -> bool:
    """Whether a folder has all files of another."""
    names = [path.relative_to(other) for path in other.rglob("*") if path.is_file()]
    return all((one / name).is_file() and digest(one / name) == digest(other / name) for name in names)


def report(times: str, midway: str, trials: Mapping[str, tuple[Trial, int]], seed: int, count: int | None) -> None:
    """Runs them, prints a table in Markdown whose columns are so named, and exits with 1 where there are findings."""
    click.echo(f"| | {times} | {midway} | findings | seconds |\n|---|---|---|---|---|")
    found = []
    for name, (trial, usual) in trials.items():
        account, start = Account(), time.monotonic()
        with tempfile.TemporaryDirectory(prefix="cyclorama-trials-") as folder:
            trial(Path(folder), random.Random(f"{name} {seed}"), account, count or usual)
        found += account.findings
        spent = time.monotonic() - start
        click.echo(f"| {name} | {account.times} | {account.midway} | {len(account.findings)} | {spent:.0f} |")
    for told in found:
        click.echo(told, err=True)
    sys.exit(bool(found))
