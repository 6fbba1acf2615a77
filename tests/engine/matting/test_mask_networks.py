"""Mask networks on our own session, beside rembg's own classes; where their files come from."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cyclorama import BackendUnavailable, BadModel, DownloadFailed, Hints, InvalidOptions, find_subject, load_photo
from cyclorama.cli import main
from cyclorama.engine.matting import networks
from cyclorama.engine.matting.looks import Looks
from cyclorama.engine.matting.networks import OnnxMask, mask_network
from cyclorama.models.catalogue import MASK_MODELS, SHIPPED_MASK_MODELS, MaskEntry
from cyclorama.models.store import has_digest, home
from tests.conftest import PHOTOS

PHOTO = Image.fromarray(load_photo(PHOTOS / "astronaut.jpg").rgb)


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test has a home of its own, and none of rembg's, and loads what it wants."""
    monkeypatch.setenv("CYCLORAMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "rembg"))
    for kept in (networks._of_catalogue, networks._of_file, networks._of_rembg):
        kept.cache_clear()


def small_network(path: Path, side: int, logits: bool, channels: int = 3) -> Path:
    """Two convolutions with random weights, of the interface that rembg's networks have."""
    rng = np.random.default_rng(side)
    weights = {
        "a": rng.standard_normal((6, channels, 5, 5)).astype(np.float32) / 5,
        "b": rng.standard_normal((1, 6, 5, 5)).astype(np.float32) / 5,
    }
    nodes = [
        helper.make_node("Conv", ["input", "a"], ["x"], pads=[2, 2, 2, 2]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Conv", ["y", "b"], ["map" if logits else "z"], pads=[2, 2, 2, 2]),
        *([] if logits else [helper.make_node("Sigmoid", ["z"], ["map"])]),
    ]
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, channels, side, side))],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, (1, 1, side, side))],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def stretched(confidence: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """As rembg stretches and enlarges what its networks give."""
    low, high = confidence.min(), confidence.max()
    grey = Image.fromarray(((confidence - low) / (high - low) * 255).astype(np.uint8))
    return np.asarray(grey.resize(PHOTO.size, Image.Resampling.LANCZOS)).astype(int)


@pytest.mark.parametrize(
    "name",
    ["u2netp", "u2net", "u2net_human_seg", "silueta", "isnet-general-use", "isnet-anime", "birefnet-general-lite",
     "birefnet-general", "birefnet-portrait", "birefnet-dis", "birefnet-hrsod", "birefnet-cod", "birefnet-massive",
     "bria-rmbg"],
)  # fmt: skip
def test_ours_equals_rembgs_own_class(name: str, tmp_path: Path) -> None:
    """The file is u2netp's own, or a small network of the same interface, for the weights of these are large."""
    from rembg import new_session

    entry = MASK_MODELS[name]
    file = tmp_path / "rembg" / f"{name}.onnx"
    if name == "u2netp":
        file.parent.mkdir()
        file.write_bytes(SHIPPED_MASK_MODELS["u2netp"].read_bytes())
    else:
        small_network(file, entry.side, logits=entry.activation == "sigmoid")
    theirs = np.asarray(new_session(name, providers=["CPUExecutionProvider"]).predict(PHOTO)[0]).astype(int)
    assert np.abs(stretched(OnnxMask(entry, file).confidence(PHOTO)) - theirs).max() <= 1
    assert theirs.std() > 5


def test_the_catalogue_has_every_network_of_rembg_that_fits(tmp_path: Path) -> None:
    """And rembg's own sums; a new rembg may bring more, which then run by rembg's class."""
    import inspect

    from rembg.sessions import sessions

    for name, session in sessions.items():
        if name in MASK_MODELS:
            source = inspect.getsource(session.download_models)
            assert MASK_MODELS[name].digest in source, name
            assert MASK_MODELS[name].url in source, name
    others = {"u2net_cloth_seg", "birefnet-general-fp16", "sam", "withoutbg", "atlascloud"}
    assert {name for name in sessions if not name.endswith("_custom")} == MASK_MODELS.keys() - {"u2net-int8"} | others
    assert has_digest(SHIPPED_MASK_MODELS["u2netp"], MASK_MODELS["u2netp"].digest)


@pytest.fixture
def release(release_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where silueta is a small network."""
    file = small_network(release_folder / "silueta.onnx", 320, logits=False)
    digest = f"md5:{hashlib.md5(file.read_bytes()).hexdigest()}"
    monkeypatch.setitem(MASK_MODELS, "silueta", replace(MASK_MODELS["silueta"], digest=digest))
    return release_folder


def test_a_network_is_fetched_once_and_checked(release: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = OnnxMask(MASK_MODELS["silueta"], release / "silueta.onnx").confidence(PHOTO)
    np.testing.assert_array_equal(mask_network("silueta").confidence(PHOTO), expected)
    assert "fetching the network silueta" in caplog.text
    (release / "silueta.onnx").unlink()
    networks._of_catalogue.cache_clear()
    np.testing.assert_array_equal(mask_network("silueta").confidence(PHOTO), expected)


def test_what_arrives_damaged_is_not_kept(release: Path) -> None:
    file = release / "silueta.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + b"\0\0\0\1")
    with pytest.raises(DownloadFailed, match="arrived damaged and was removed"):
        mask_network("silueta")
    assert not [path for path in (home() / "masks").iterdir() if path.suffix in (".onnx", ".part")]
    file.write_bytes(whole)
    mask_network("silueta")


def test_a_server_that_is_gone(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (release / "silueta.onnx").unlink()
    with pytest.raises(DownloadFailed, match=r"fetching silueta\.onnx failed \(.*404.*run the same command again"):
        mask_network("silueta")


def test_what_rembg_has_fetched_is_used(release: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "rembg" / "models" / "silueta" / "silueta.onnx"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes((release / "silueta.onnx").read_bytes())
    (release / "silueta.onnx").unlink()
    mask_network("silueta")
    theirs.write_bytes(b"something else")
    networks._of_catalogue.cache_clear()
    with pytest.raises(DownloadFailed):
        mask_network("silueta")


def test_any_onnx_file(tmp_path: Path) -> None:
    """A known one by its sum, whatever it is called; of others logits are told by their range."""
    known = tmp_path / "mine.onnx"
    known.write_bytes(SHIPPED_MASK_MODELS["u2netp"].read_bytes())
    np.testing.assert_array_equal(mask_network(known).confidence(PHOTO), mask_network("u2netp").confidence(PHOTO))
    other = mask_network(small_network(tmp_path / "other.onnx", 96, logits=True))
    assert other.side == 96
    same = OnnxMask(MaskEntry("", "", "", 96, "", activation="sigmoid"), tmp_path / "other.onnx")
    np.testing.assert_array_equal(other.confidence(PHOTO), same.confidence(PHOTO))
    rgb = np.asarray(PHOTO)
    np.testing.assert_array_equal(find_subject(rgb, known), find_subject(rgb, "u2netp"))
    photo = str(PHOTOS / "astronaut.jpg")
    for number, model in enumerate(("u2netp", str(known))):
        words = ["mask", photo, "--mask-model", model, "-o", str(tmp_path / f"{number}.png")]
        assert CliRunner().invoke(main, words).exit_code == 0
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_files_that_are_no_mask_networks(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="there is no mask model"):
        mask_network(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(BadModel, match=r"text\.onnx"):
        mask_network(tmp_path / "text.onnx")
    with pytest.raises(BadModel, match=r"is no mask network: it takes input \(1, 5, 32, 32\)"):
        mask_network(small_network(tmp_path / "five.onnx", 32, logits=True, channels=5))


def test_unknown_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidOptions, match=r"unknown mask model 'u3net'; choose one of .*isnet-general-use"):
        mask_network("u3net")
    networks._of_rembg.cache_clear()
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'cyclorama\[masks\]'"):
        mask_network("u2net_cloth_seg")


def test_other_names_of_rembg_run_by_rembg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """silueta's class with u2netp's weights."""
    monkeypatch.delitem(MASK_MODELS, "silueta")
    (tmp_path / "rembg").mkdir()
    (tmp_path / "rembg" / "silueta.onnx").write_bytes(SHIPPED_MASK_MODELS["u2netp"].read_bytes())
    rgb = np.asarray(PHOTO)
    found, same = (find_subject(rgb, name) > 127 for name in ("silueta", "u2netp"))
    assert (found & same).sum() / (found | same).sum() > 0.98


def test_a_stroke_costs_no_other_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network saw of a photo is kept: another hint at the same place asks it nothing."""
    rgb, looks = np.asarray(PHOTO), Looks()
    seen: list[Image.Image] = []
    confidence = OnnxMask.confidence

    def counted(self: OnnxMask, image: Image.Image) -> np.ndarray[Any, Any]:
        seen.append(image)
        return confidence(self, image)

    monkeypatch.setattr(OnnxMask, "confidence", counted)
    find_subject(rgb, looks=looks)
    assert len(seen) == 2  # the default network, and the one beside it
    stroke = np.zeros(rgb.shape[:2], bool)
    stroke[40:60, 40:60] = True
    kept = find_subject(rgb, hints=Hints(drop=stroke), looks=looks)
    assert len(seen) == 2
    np.testing.assert_array_equal(kept, find_subject(rgb, hints=Hints(drop=stroke)))
    box = Hints.read(PHOTO.size, box=(20, 20, 300, 400))
    seen.clear()
    first = find_subject(rgb, hints=box, looks=looks)
    assert len(seen) == 4
    np.testing.assert_array_equal(find_subject(rgb, hints=box, looks=looks), first)
    assert len(seen) == 4
    assert looks.nbytes == 6 * 320 * 320 * 4
