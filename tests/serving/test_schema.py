"""The OpenAPI description holds for whatever is sent: schemathesis's checks, with its own requests, seeded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.serving.conftest import Running

# What a random string is not is a photo, so no request of schemathesis's own making can be carried out.
_NOT = "positive_data_acceptance"


def test_every_answer_is_described(server: Running, tmp_path: Path) -> None:
    outcome = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.address}/openapi.json",
            "--exclude-checks", _NOT, "--seed", "20261126", "--generation-deterministic", "--max-examples", "20",
            "--phases", "examples,coverage,fuzzing",
            "--suppress-health-check", "all",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout[-8000:]
