"""docs/api.md: its tables are the code's, and its recipes run."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cyclorama.serving.documents import PAGE, page
from tests.conftest import PHOTOS
from tests.serving.conftest import Running

_RECIPES = PAGE.read_text(encoding="utf-8").split("<!-- recipes: begin -->")[1].split("<!-- recipes: end -->")[0]
RECIPES = re.findall(r"```(\w+)\n(.*?)```", _RECIPES, re.DOTALL)


def test_the_tables_are_the_codes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m cyclorama.serving.documents"


def test_there_are_five() -> None:
    assert [kind for kind, _ in RECIPES] == ["python", "sh", "sh", "python", "sh"]


@pytest.mark.parametrize("number", range(5))
def test_recipes_run(server: Running, tmp_path: Path, number: int) -> None:
    kind, text = RECIPES[number]
    shutil.copy(PHOTOS / "cat.jpg", tmp_path)
    text = text.replace("http://127.0.0.1:8000", server.address).replace("python3", sys.executable)
    command = (
        [sys.executable, "-W", "error", "-c", text] if kind == "python" else ["bash", "-euo", "pipefail", "-c", text]
    )
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr
    made = {path.name: path for path in tmp_path.iterdir() if path.name != "cat.jpg"}
    for name, path in made.items():
        if name.endswith(".json"):
            for one in json.loads(path.read_text())["data"]:
                assert len(base64.b64decode(one["b64_json"])) > 1000
    if "beach.png" in made:
        with Image.open(made["beach.png"]) as image:
            assert image.size == (451, 300)
    if "events.txt" in made:
        assert '"status": "done"' in made["events.txt"].read_text()
    assert made or outcome.stdout.count("image_edit") == 3
