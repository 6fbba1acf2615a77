"""The notebook runs from top to bottom here, on the CPU with nano, and refuses to pretend that CUDA runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.conftest import PHOTOS, ROOT

NOTEBOOK = ROOT / "notebooks" / "generate_bg.ipynb"


def executed(folder: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> nbformat.NotebookNode:
    monkeypatch.setenv("CYCLORAMA_MODEL", "nano")
    monkeypatch.setenv("CYCLORAMA_DEVICE", device)
    monkeypatch.setenv("CYCLORAMA_PYTHON", sys.executable)
    monkeypatch.setenv("CYCLORAMA_PHOTO", str(PHOTOS / "cat.jpg"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def printed(notebook: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))


@pytest.mark.filterwarnings("ignore:::(jupyter_client|zmq|traitlets|nbclient)")
def test_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = executed(tmp_path, monkeypatch, "cpu")
    said = printed(notebook)
    assert "nano runs on cpu" in said
    assert re.search(r"grey studio backdrop +quality +\d", said)
    assert (tmp_path / "background-2.png").is_file()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    assert sum("image/png" in output["data"] for output in shown) == 3
    (table,) = [output["data"]["text/html"] for output in shown if "text/html" in output["data"]]
    assert table.count("<img") == 6


@pytest.mark.filterwarnings("ignore:::(jupyter_client|zmq|traitlets|nbclient)")
def test_without_cuda_it_stops_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CellExecutionError, match="cuda does not run here") as stopped:
        executed(tmp_path, monkeypatch, "cuda")
    assert "onnxruntime-gpu" in str(stopped.value)


def test_it_holds_no_outputs_and_asks_for_the_line_of_cuda_12() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    source = "".join(cell.source for cell in notebook.cells)
    assert "onnxruntime-gpu[cuda,cudnn]<1.27" in source
