"""Two processes that make the same thing: one of them does, or both do, and it is whole."""

from __future__ import annotations

import shutil
from pathlib import Path

from cyclorama import BackgroundGenerator
from cyclorama.models.catalogue import embedded
from tests.checkpoints import make_checkpoint
from tests.hub import Hub, serve
from tests.reliability.trials import is_same, run


def _both(words: list[str], home: Path, **variables: str) -> list[tuple[int, str]]:
    """Exit codes and what was said, the better first."""
    processes = [run(words, home, **variables) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in processes]
    return sorted(zip((process.returncode for process in processes), said, strict=True))


def test_two_exports_into_one_folder(tmp_path: Path) -> None:
    checkpoint, out = make_checkpoint(tmp_path / "tiny"), tmp_path / "model"
    words = ["export", str(checkpoint), str(out), "--format", "onnx"]
    (first, _), (second, said) = _both(words, tmp_path / "home")
    assert first == 0
    assert second == 1  # or it came so late that the folder was there
    assert "Traceback" not in said
    assert str(out) in said.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} - {"home"} == {"model", "tiny"}
    BackgroundGenerator.load(out).close()


def test_two_pulls_of_one_model(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(Hub({"me/nano": embedded("nano")})) as hub:
        for _ in range(2):
            shutil.rmtree(home, ignore_errors=True)
            for code, said in _both(["models", "pull", "me/nano"], home, HF_ENDPOINT=hub.url):
                assert code == 0, said
            assert is_same(home / "models" / "me--nano", embedded("nano"))
            assert {path.name for path in (home / "models").iterdir()} == {"me--nano", "me--nano.lock"}
