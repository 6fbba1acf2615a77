"""Graphs that compute in half precision: by onnx's reference evaluator, which rounds after every node as a GPU does."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from cyclorama import BackgroundGenerator, InvalidOptions
from cyclorama.engine.backends import ONNX_FILE, open_session, random_feeds
from cyclorama.export import export_checkpoint, half
from tests.checkpoints import make_checkpoint
from tests.conftest import PHOTOS


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small checkpoint with an AutoencoderKL: in float32, and for CUDA."""
    folder = tmp_path_factory.mktemp("half")
    checkpoint = make_checkpoint(folder / "tiny")
    exact = export_checkpoint(checkpoint, folder / "exact", format="onnx", precision="fp32")
    return exact, export_checkpoint(checkpoint, folder / "half", format="onnx", for_cuda=True)


def computed_in(file: Path) -> Counter[tuple[str, int]]:
    """How often each operator has a first input of each type."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(file)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    return Counter((node.op_type, types.get(node.input[0], 0)) for node in graph.node if node.input)


@pytest.mark.parametrize("component", ["text_encoder", "unet", "vae_encoder", "vae_decoder"])
def test_products_are_in_half_and_right_though_each_node_rounds(folders: tuple[Path, Path], component: str) -> None:
    exact, rounded = (folder / component / ONNX_FILE for folder in folders)
    counts = computed_in(rounded)
    for kind in ("Conv", "MatMul", "Gemm", "Softmax", "LayerNormalization", "InstanceNormalization"):
        assert not counts[kind, onnx.TensorProto.FLOAT], kind
    assert counts["Conv", onnx.TensorProto.FLOAT16] + counts["MatMul", onnx.TensorProto.FLOAT16] > 3
    session = open_session(exact, "onnx")
    feeds = {name: np.asarray(value) for name, value in random_feeds(session).items()}
    if "timestep" in feeds:
        feeds["timestep"] = np.full_like(feeds["timestep"], 999)
    for name, wanted in session.run(feeds).items():
        (got,) = ReferenceEvaluator(onnx.load(rounded)).run([name], feeds)
        assert got.dtype == np.float32
        assert np.abs(got - np.asarray(wanted)).max() < 0.01 * np.abs(np.asarray(wanted)).max()


def test_the_angles_of_the_timestep_are_not(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, rounded = (folder / "unet" / ONNX_FILE for folder in folders)
    assert computed_in(rounded)["Sin", onnx.TensorProto.FLOAT] == 1
    monkeypatch.setattr(half, "_of_angles", lambda graph: [])
    spoilt = Path(shutil.copy(exact, tmp_path / "spoilt.onnx"))
    half.compute_in_half(spoilt)
    feeds = {name: np.asarray(value) for name, value in random_feeds(open_session(exact, "onnx")).items()}
    feeds["timestep"] = np.full_like(feeds["timestep"], 999)
    wanted, got, off = (
        ReferenceEvaluator(onnx.load(file)).run([f"/time_proj/{kind}_output_0" for kind in ("Sin", "Cos")], feeds)
        for file in (exact, rounded, spoilt)
    )
    assert np.abs(np.subtract(got, wanted)).max() < 1e-3  # that of half itself
    assert np.abs(np.subtract(off, wanted)).max() > 0.05


def test_it_paints_on_a_cpu_too_and_says_what_it_is_for(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    pictures = []
    for folder in folders:
        generator = BackgroundGenerator.load(folder, backend="onnx")
        scene = generator.prepare(PHOTOS / "cat.jpg", size=64)
        pictures.append(np.asarray(generator.generate(scene, "a beach", seed=1, num_inference_steps=4).image, float))
    assert "half was exported for CUDA, and a CPU is slower in half precision" in caplog.text
    assert "exact was exported" not in caplog.text
    assert 10 * np.log10(255**2 / np.mean((pictures[0] - pictures[1]) ** 2)) > 40
    manifest = json.loads((folders[1] / "cyclorama.json").read_text())
    assert manifest["for_cuda"]
    assert set(manifest["precision"].values()) == {"fp16"}


@pytest.mark.parametrize("how", [{"format": "openvino"}, {"format": "onnx", "precision": "int8"}])
def test_only_onnx_in_fp16_is_for_cuda(tmp_path: Path, how: dict[str, str]) -> None:
    with pytest.raises(InvalidOptions, match="for CUDA a model is exported to onnx in fp16"):
        export_checkpoint(tmp_path, tmp_path / "out", for_cuda=True, **how)  # type: ignore[arg-type]
