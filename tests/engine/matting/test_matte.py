"""Matting networks: rembg's beside ours on one file, and what they may change of a mask."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw, ImageFilter

from cyclorama import BadModel, DownloadFailed, Hints, InvalidOptions, NoSubject, cut_out
from cyclorama.cli import main
from cyclorama.engine.matting import matte
from cyclorama.engine.matting.matte import MattingNetwork, matting_network, refined
from cyclorama.models.catalogue import MATTING_MODELS, MaskEntry
from tests.conftest import PHOTOS

SIDE = 256


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYCLORAMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "rembg"))
    for kept in (matte._of_catalogue, matte._of_file):
        kept.cache_clear()


def reddish(path: Path, side: int = SIDE, channels: int = 4, bias: float = 0.45) -> Path:
    """A network of ViTMatte's interface for which what is red is subject; the trimap weighs a little."""
    weights = np.zeros((1, channels, 1, 1), np.float32)
    weights[0, :2, 0, 0] = 2, -2
    weights[0, -1] += 0.1
    graph = helper.make_graph(
        [helper.make_node("Conv", ["pixel_values", "w", "b"], ["alphas"])], "reddish",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, (1, channels, side, side))],
        [helper.make_tensor_value_info("alphas", TensorProto.FLOAT, (1, 1, side, side))],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([bias], np.float32), "b")],
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def hairy(size: int = 400) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A red ball with hairs on green, and its true alpha."""
    large = Image.new("L", (3 * size, 3 * size))
    draw = ImageDraw.Draw(large)
    draw.ellipse((size, size, 2 * size, 2 * size), fill=255)
    for turn in np.linspace(0, 2 * np.pi, 60):
        way = np.array([np.cos(turn), np.sin(turn)])
        draw.line([*(1.5 * size + 0.49 * size * way), *(1.5 * size + 0.53 * size * way)], fill=255, width=4)
    alpha = large.resize((size, size), Image.Resampling.BOX)
    red, green = (Image.new("RGB", (size, size), colour) for colour in ((160, 40, 40), (40, 160, 40)))
    return np.asarray(Image.composite(red, green, alpha)), np.asarray(alpha)


def test_ours_gives_what_rembg_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file, one trimap, the whole photo: rembg's own function beside ours."""
    import onnxruntime
    from rembg import matting

    file = reddish(tmp_path / "small.onnx")
    monkeypatch.setattr(matting, "INPUT_SIZE", SIDE)
    monkeypatch.setattr(matting, "_get_session", lambda _: onnxruntime.InferenceSession(str(file)))
    rgb, true = hairy()
    mask = Image.fromarray(true).filter(ImageFilter.GaussianBlur(3))
    theirs = np.asarray(matting.vitmatte_alpha(Image.fromarray(rgb), mask)).astype(int)
    network = MattingNetwork(MaskEntry("small", "", "", 0, ""), file)
    ours = network.alpha(Image.fromarray(rgb), matting.trimap_from_mask(mask))
    enlarged = Image.fromarray((ours * 255).astype(np.uint8)).resize(mask.size, Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(enlarged).astype(int) - theirs).max() <= 1
    assert theirs.std() > 5


def test_the_catalogue_has_rembgs_networks() -> None:
    from rembg.matting import BASE_URL, VARIANTS

    theirs = {f"vitmatte-{name}": (f"{BASE_URL}/{entry['fname']}", f"sha256:{entry['sha256']}")
              for name, entry in VARIANTS.items()}  # fmt: skip
    assert {name: (entry.url, entry.digest) for name, entry in MATTING_MODELS.items()} == theirs


def test_the_edge_becomes_that_of_the_network_and_the_rest_stays(tmp_path: Path) -> None:
    rgb, true = hairy()
    # Another thing of the subject's colour, which is certain not to be it; and a mask without the hairs.
    rgb = rgb.copy()
    rgb[20:60, 20:60] = 160, 40, 40
    rough = np.asarray(Image.fromarray(true).filter(ImageFilter.MedianFilter(9)))
    network = matting_network(reddish(tmp_path / "small.onnx"))
    found = refined(rgb, rough, network, Hints())
    hairs = (true > 40) & (rough == 0)
    assert hairs.sum() > 100
    assert np.abs(found[hairs].astype(int) - true[hairs]).mean() < 0.4 * true[hairs].mean()
    assert not found[:100].any()
    np.testing.assert_array_equal(found[180:220, 180:220], 255)
    changed = found != rough
    near = np.asarray(Image.fromarray(rough).filter(ImageFilter.MaxFilter(9))) > 0
    assert not (changed & ~near).any()


def test_what_a_person_said_stays(tmp_path: Path) -> None:
    """Nothing comes back that was dropped or lies outside of the box, and no stroke to keep is lost."""
    rgb, true = hairy()
    network = matting_network(reddish(tmp_path / "small.onnx"))
    upper = np.zeros(true.shape, bool)
    upper[:200] = True
    below = np.where(upper, 0, true).astype(np.uint8)
    assert refined(rgb, below, network, Hints())[upper].any()
    assert not refined(rgb, below, network, Hints(drop=upper))[upper].any()
    assert not refined(rgb, below, network, Hints(box=(0, 200, 400, 200)))[upper].any()
    line = np.zeros(true.shape, bool)
    line[100:102, 150:250] = True
    kept = np.where(line, 255, true).astype(np.uint8)
    assert not (refined(rgb, kept, network, Hints())[line] == 255).all()
    assert (refined(rgb, kept, network, Hints(keep=line))[line] == 255).all()


def test_a_network_that_leaves_nothing(tmp_path: Path) -> None:
    """Of a soft mask all is uncertain; an empty answer is no subject, and not the end of a batch."""
    rgb, _ = hairy()
    soft = Image.new("L", (400, 400), 0)
    soft.paste(200, (100, 100, 300, 300))
    nothing = reddish(tmp_path / "nothing.onnx", bias=-9)
    with pytest.raises(NoSubject, match=r"nothing\.onnx: the mask is empty.*leave out the matting model"):
        cut_out(Image.fromarray(rgb), mask=soft, matting_model=nothing)


def test_any_mask_is_refined_but_a_photos_own_transparency(tmp_path: Path) -> None:
    file = reddish(tmp_path / "small.onnx")
    rgb, true = hairy()
    photo = Image.fromarray(rgb)
    rough = Image.fromarray(true).filter(ImageFilter.MedianFilter(9))
    given, better = cut_out(photo, mask=rough), cut_out(photo, mask=rough, matting_model=file)
    off, left = (np.abs(one.alpha.astype(int) - true).mean() for one in (given, better))
    assert left < 0.7 * off
    found = cut_out(photo, matting_model=file)
    assert np.abs(found.alpha.astype(int) - true).mean() < off
    photo.putalpha(rough)
    own = cut_out(photo, matting_model=file)
    np.testing.assert_array_equal(own.alpha, np.asarray(rough))
    assert any("no matting model changes it" in told for told in own.notes)


def test_by_the_command(tmp_path: Path) -> None:
    file, photo = reddish(tmp_path / "small.onnx"), str(PHOTOS / "astronaut.jpg")
    for name, words in (("plain", []), ("refined", ["--matting-model", str(file)])):
        outcome = CliRunner().invoke(main, ["mask", photo, "-o", str(tmp_path / f"{name}.png"), *words])
        assert outcome.exit_code == 0, outcome.output
    plain, fine = (np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int) for name in ("plain", "refined"))
    assert 0.001 < (np.abs(plain - fine) > 20).mean() < 0.2


def test_one_of_the_catalogue_is_fetched_once_and_checked(
    release_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "vitmatte-small-distinctions-646"
    file = reddish(release_folder / f"{name}.onnx")
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    with pytest.raises(DownloadFailed, match="arrived damaged and was removed"):
        matting_network(name)
    monkeypatch.setitem(MATTING_MODELS, name, replace(MATTING_MODELS[name], digest=digest))
    assert matting_network(name).side == SIDE
    kept = tmp_path / "home" / "masks" / f"{name}.onnx"
    assert kept.read_bytes() == file.read_bytes()
    theirs = tmp_path / "rembg" / "models" / "vitmatte" / f"{name}.onnx"
    theirs.parent.mkdir(parents=True)
    kept.rename(theirs)
    file.unlink()
    matte._of_catalogue.cache_clear()
    assert matting_network(name).side == SIDE


def test_what_is_no_matting_network(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match=r"unknown matting model 'vit'; choose one of .*or an ONNX file"):
        matting_network("vit")
    with pytest.raises(InvalidOptions, match="there is no matting model"):
        matting_network(tmp_path / "none.onnx")
    with pytest.raises(InvalidOptions, match="matting_model must be a name or a Path, got 3"):
        matting_network(3)  # type: ignore[arg-type]
    with pytest.raises(BadModel, match=r"is no matting network: it takes pixel_values \(1, 3, 256, 256\)"):
        matting_network(reddish(tmp_path / "three.onnx", channels=3))
