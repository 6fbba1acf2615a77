"""Shared fixtures: a home of one's own, and nano exported once per run in float32, in both formats.

torch and its kin are imported by those tests only that compare with them.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT / "docs" / "photos"
DATA = Path(__file__).parent / "data"
NANO_CHECKPOINT = ROOT / "models" / "nano" / "checkpoint"


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the person's own store."""
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("CYCLORAMA_HOME", str(home))


@pytest.fixture(autouse=True)
def _quiet_libraries() -> None:
    if "diffusers" in sys.modules:
        sys.modules["diffusers"].logging.set_verbosity_error()
        sys.modules["diffusers"].logging.disable_progress_bar()
    if "transformers" in sys.modules:
        sys.modules["transformers"].logging.set_verbosity_error()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or the one that CHROMIUM names; without one the tests fail."""
    from playwright.sync_api import sync_playwright

    path = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    assert path, "the page is tested in a browser: apt-get install chromium, or name one in CHROMIUM"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def nano_openvino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cyclorama.export import export_checkpoint

    out = tmp_path_factory.mktemp("nano") / "openvino"
    return export_checkpoint(NANO_CHECKPOINT, out, format="openvino", precision="fp32", name="nano")


@pytest.fixture(scope="session")
def nano_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cyclorama.export import export_checkpoint

    out = tmp_path_factory.mktemp("nano") / "onnx"
    return export_checkpoint(NANO_CHECKPOINT, out, format="onnx", precision="fp32", name="nano")


@pytest.fixture
def nano_both(nano_openvino: Path, nano_onnx: Path, tmp_path: Path) -> Path:
    """A copy of nano in both formats, to be changed at will."""
    folder = Path(shutil.copytree(nano_openvino, tmp_path / "both"))
    for component in ("text_encoder", "unet", "vae_encoder", "vae_decoder"):
        shutil.copy(nano_onnx / component / "model.onnx", folder / component)
    return folder


@contextmanager
def small_files(most_bytes: int) -> Iterator[None]:
    """No file of this process can be made larger, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
