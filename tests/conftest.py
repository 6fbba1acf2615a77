"""Shared fixtures: nano exported once per run in float32, in both formats."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

from cyclorama.engine.diffusion.model_folder import COMPONENTS
from tests.checkpoints import NANO_CHECKPOINT

# Importing these raises deprecation warnings of their own, which are not ours to fail on.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers
    import openvino  # noqa: F401
    import transformers

    from cyclorama.export import export_checkpoint

PHOTOS = Path(__file__).parent.parent / "docs" / "photos"
DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the person's own store."""
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("CYCLORAMA_HOME", str(home))


@pytest.fixture(autouse=True)
def _quiet_libraries() -> None:
    diffusers.logging.set_verbosity_error()
    diffusers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()


@pytest.fixture(scope="session")
def nano_openvino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nano") / "openvino"
    return export_checkpoint(NANO_CHECKPOINT, out, format="openvino", precision="fp32", name="nano")


@pytest.fixture(scope="session")
def nano_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nano") / "onnx"
    return export_checkpoint(NANO_CHECKPOINT, out, format="onnx", precision="fp32", name="nano")


@pytest.fixture
def nano_both(nano_openvino: Path, nano_onnx: Path, tmp_path: Path) -> Path:
    """A copy of nano in both formats, to be changed at will."""
    folder = Path(shutil.copytree(nano_openvino, tmp_path / "both"))
    for component in COMPONENTS:
        shutil.copy(nano_onnx / component / "model.onnx", folder / component)
    return folder
