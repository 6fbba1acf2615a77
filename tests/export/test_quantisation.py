"""int8: what it is calibrated on, what it changes, and what is said of it."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cyclorama import BackgroundGenerator, GenerationOptions, InvalidOptions, Result, cli
from cyclorama.engine.backends import ONNX_FILE, OPENVINO_FILE, open_session
from cyclorama.export import Calibration, ExportFailed, Recipe, drift, export_checkpoint, quantisation
from cyclorama.export.request import Kind
from cyclorama.models.store import verify
from tests.conftest import NANO_CHECKPOINT, PHOTOS

SMALL = Calibration((PHOTOS / "cat.jpg", PHOTOS / "bowl.jpg"), ("a beach", "green leaves", "a red wall", "snow"), 16)


def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    picture = np.cumsum(rng.integers(-6, 7, (48, 64, 3)), axis=1) + 128
    changed = picture + rng.integers(-9, 10, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), np.clip(changed, 0, 255).astype(np.uint8)


def test_psnr_and_ssim_are_scikit_images() -> None:
    a, b = pair()
    assert drift.psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b))
    _, theirs = structural_similarity(
        a, b, gaussian_weights=True, use_sample_covariance=False, channel_axis=2, full=True
    )
    assert drift.ssim(a, b) == pytest.approx(theirs.mean(), abs=1e-6)
    assert drift.psnr(a, a) == float("inf")
    assert drift.ssim(a, a) == pytest.approx(1)


def test_what_is_pasted_over_does_not_count() -> None:
    a, b = pair()
    where = np.zeros(a.shape[:2], bool)
    where[10:30, 10:40] = True
    assert drift.psnr(a, b, where) == pytest.approx(peak_signal_noise_ratio(a[10:30, 10:40], b[10:30, 10:40]))
    _, full = structural_similarity(a, b, gaussian_weights=True, use_sample_covariance=False, channel_axis=2, full=True)
    assert drift.ssim(a, b, where) == pytest.approx(full[where].mean(), abs=1e-6)
    b[~where] = 0
    reference, changed = (result(picture, np.where(where, 0, 255).astype(np.uint8)) for picture in (a, b))
    measured = drift.drift([reference, reference], [reference, changed])
    assert measured["psnr"] == pytest.approx((100 + drift.psnr(a, b, where)) / 2)
    assert measured["worst_psnr"] == pytest.approx(drift.psnr(a, b, where))
    assert measured["ssim"] == pytest.approx((1 + drift.ssim(a, b, where)) / 2)


def result(background: np.ndarray, alpha: np.ndarray) -> Result:
    return Result(
        background_name="",
        image=Image.fromarray(background), alpha=Image.fromarray(alpha), background=Image.fromarray(background),
        options=GenerationOptions("a beach"), model="", backend="", working_size=(64, 64), seconds={}, peak_memory=0,
        icc_profile=None, exif=None,
    )  # fmt: skip


def test_a_calibration_set_is_shipped_and_others_are_read(tmp_path: Path) -> None:
    shipped = Calibration.load()
    assert len(shipped.photos) >= 6
    assert len(set(shipped.prompts)) == len(shipped.prompts) >= 20
    shutil.copy(PHOTOS / "cat.jpg", tmp_path)
    (tmp_path / "prompts").write_text("a beach\n\n  a wood \n", encoding="utf-8")
    own = Calibration.load(tmp_path, tmp_path / "prompts")
    assert own.photos == (tmp_path / "cat.jpg",)
    assert own.prompts == ("a beach", "a wood")


def test_a_bad_calibration_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="no photo in"):
        Calibration.load(tmp_path)
    with pytest.raises(InvalidOptions, match="cannot read the calibration set"):
        Calibration.load(tmp_path / "nowhere")
    (tmp_path / "one").write_text("a beach\n", encoding="utf-8")
    with pytest.raises(InvalidOptions, match="two prompts, got 6 and 1"):
        Calibration.load(prompts=tmp_path / "one")
    with pytest.raises(InvalidOptions, match="1 to 10,000 samples, got 0"):
        dataclasses.replace(SMALL, samples=0)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(InvalidOptions, match="no calibration photo shows a subject"):
        Calibration.load(tmp_path).scenes(BackgroundGenerator.load("nano"))
    with pytest.raises(InvalidOptions, match="goes with precision int8, got fp16"):
        export_checkpoint(NANO_CHECKPOINT, tmp_path / "out", calibration=SMALL)
    assert not (tmp_path / "out").exists()


def test_an_impossible_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="got 'hybird'"):
        Recipe("hybird")  # type: ignore[arg-type]
    with pytest.raises(InvalidOptions, match="0 to 1, got 2"):
        Recipe(smooth_quant=2)
    with pytest.raises(InvalidOptions, match="goes with `full`"):
        Recipe("hybrid", smooth_quant=0.5)
    with pytest.raises(InvalidOptions, match="hybrid is for OpenVINO"):
        export_checkpoint(NANO_CHECKPOINT, tmp_path / "out", format="onnx", precision="int8", recipe=Recipe("hybrid"))


def test_what_is_recorded_is_what_the_unet_gets_by_the_models_own_preset() -> None:
    generator = BackgroundGenerator.load("nano")
    session = generator.unet.session
    scenes = SMALL.scenes(generator)
    assert all(abs(scene.cutout.size[0] * scene.cutout.size[1] / 256**2 - 1) < 0.02 for scene in scenes)
    samples, again = (list(SMALL.record(generator, scenes)) for _ in range(2))
    assert len(samples) == 16
    for feeds, same in zip(samples, again, strict=True):
        assert all(np.array_equal(feeds[name], same[name]) for name in feeds)
        assert feeds.keys() == session.inputs.keys()
        assert feeds["sample"].shape[:2] == (2, 9)  # guided, and for inpainting
    for scene, share in zip(scenes, (samples[:8], samples[8:]), strict=True):
        assert all(
            np.array_equal(feeds["sample"][0, 5:], scene.masked_image_latents(generator.vae)[0]) for feeds in share
        )
        timesteps = [float(feeds["timestep"]) for feeds in share]
        assert timesteps == sorted(set(timesteps), reverse=True)
    assert generator.unet.session is session


def test_few_steps_are_recorded_until_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = BackgroundGenerator.load("nano")
    own = generator.generate
    monkeypatch.setattr(generator, "generate", lambda *args, **options: own(*args, num_inference_steps=3, **options))
    assert len(list(dataclasses.replace(SMALL, samples=9).record(generator, SMALL.scenes(generator)))) == 9


def test_a_distilled_models_inputs_are_recorded_though_its_preset_spares_some(
    nano_openvino: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(nano_openvino, tmp_path / "model"))
    manifest = json.loads((folder / "cyclorama.json").read_text())
    spares = {"num_inference_steps": 4, "guidance_scale": 1.0, "token_downsampling": True, "cache_interval": 1}
    manifest |= {"preset": "fast", "presets": {"fast": spares}}
    (folder / "cyclorama.json").write_text(json.dumps(manifest))
    generator = BackgroundGenerator.load(folder)
    assert len(list(SMALL.record(generator, SMALL.scenes(generator)))) == SMALL.samples


@pytest.fixture(scope="module", params=["openvino", "onnx"])
def int8(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8") / request.param
    return export_checkpoint(
        NANO_CHECKPOINT, out, format=request.param, precision="int8", calibration=SMALL, name="nano"
    )


def float_layers(unet: Path) -> set[str]:
    """The convolutions whose input is not quantised."""
    if (unet / ONNX_FILE).exists():
        graph = onnx.load(unet / ONNX_FILE).graph
        makers = {name: node.op_type for node in graph.node for name in node.output}
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        found = {node.name for node in convolutions if makers.get(node.input[0]) != "DequantizeLinear"}
    else:
        operations = openvino.Core().read_model(unet / OPENVINO_FILE).get_ops()
        convolutions = [node for node in operations if node.get_type_name() == "Convolution"]
        found = {
            node.get_friendly_name()
            for node in convolutions
            if node.input_value(0).get_node().get_type_name() != "FakeQuantize"
        }
    # "/mid_block/resnets.0/conv1/Conv" or "__module.mid_block.resnets.0.conv1/aten::_convolution/Convolution"
    return {
        re.sub(r"/(Conv|aten::.*)$", "", name).removeprefix("__module.").strip("/").replace("/", ".") for name in found
    }


def test_an_int8_folder_is_whole_and_says_how_it_was_made(int8: Path) -> None:
    manifest = json.loads((int8 / "cyclorama.json").read_text())
    assert verify(int8) == len(manifest["sha256"])
    vae = "int8" if int8.name == "openvino" else "fp16"
    assert manifest["precision"] == {"text_encoder": "fp16", "unet": "int8", "vae_encoder": vae, "vae_decoder": vae}
    made = manifest["quantisation"]
    assert list(made["vae"]) == (["vae_encoder", "vae_decoder"] if vae == "int8" else [])
    assert all(facts["psnr"] >= 40 and facts["share_in_int8"] > 0.9 for facts in made["vae"].values())
    assert made["recipe"] == {"kind": "full", "smooth_quant": Recipe().smooth_quant, "float_ends": True}
    assert (made["samples"], made["photos"], made["prompts"], made["seed"]) == (16, 2, 4, 0)
    files = {file.name for file in (int8 / "unet").iterdir()}
    assert files == {"config.json", *({ONNX_FILE} if int8.name == "onnx" else {OPENVINO_FILE, "openvino_model.bin"})}
    assert not float_layers(int8 / "unet") & {"mid_block.resnets.0.conv1", "up_blocks.0.resnets.0.conv1"}
    assert float_layers(int8 / "unet") >= {"conv_in", "conv_out"}
    parameters = 7_150_000
    assert parameters < sum(file.stat().st_size for file in (int8 / "unet").iterdir()) < 1.4 * parameters


def test_what_is_sensitive_stays_float_in_ir(int8: Path) -> None:
    if int8.name == "onnx":
        pytest.skip("the next test looks at ONNX")
    products = [
        node
        for node in openvino.Core().read_model(int8 / "unet" / OPENVINO_FILE).get_ops()
        if node.get_type_name() in ("MatMul", "ScaledDotProductAttention")
    ]
    quantised = {}
    for node in products:
        source = node.input_value(0).get_node()
        while source.get_type_name() in ("Reshape", "Transpose"):
            source = source.input_value(0).get_node()
        quantised[node.get_friendly_name()] = source.get_type_name() == "FakeQuantize"
    assert not any(is_int8 for name, is_int8 in quantised.items() if "attn2.to_out" in name)
    assert not any(is_int8 for name, is_int8 in quantised.items() if "attn2/" in name and "scaled_dot" in name)
    assert all(is_int8 for name, is_int8 in quantised.items() if "attn1.to_out" in name or "ff.net.2" in name)


def test_an_int8_onnx_graph_is_what_onnxruntime_runs_fast(int8: Path) -> None:
    if int8.name == "openvino":
        pytest.skip("ONNX only")
    graph = onnx.load(int8 / "unet" / ONNX_FILE).graph
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    # Attention is fused: self and cross, in five blocks and the middle one.
    assert sum(node.op_type == "MultiHeadAttention" for node in graph.node) == 14
    assert not [node for node in graph.node if node.op_type == "Softmax"]
    assert {types[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"} == {onnx.TensorProto.UINT8}
    quantised = [
        node
        for node in graph.node
        if node.op_type == "Conv" and makers.get(node.input[0], node).op_type == "DequantizeLinear"
    ]
    assert len(quantised) > 20
    assert {tuple(readers[node.output[0]]) for node in quantised} == {("QuantizeLinear",)}


def test_an_int8_unet_paints_nearly_the_float_ones_pictures(int8: Path, nano_onnx: Path) -> None:
    measured = json.loads((int8 / "cyclorama.json").read_text())["quantisation"]["drift"]
    assert drift.LEAST_PSNR < measured["psnr"] < 60
    assert drift.LEAST_SSIM < measured["ssim"] < 1
    results = []
    for folder in (int8, nano_onnx):
        generator = BackgroundGenerator.load(folder)
        results.append(generator.generate(generator.prepare(PHOTOS / "coffee.jpg"), "a meadow", seed=3))
    assert drift.drift(*([one] for one in results))["psnr"] > 24


def test_weights_beside_the_file_are_quantised_too(tmp_path: Path, nano_onnx: Path) -> None:
    path = tmp_path / ONNX_FILE
    onnx.save(
        onnx.load(nano_onnx / "unet" / ONNX_FILE), path,
        save_as_external_data=True, location=f"{ONNX_FILE}_data", size_threshold=100, convert_attribute=True,
    )  # fmt: skip
    generator = BackgroundGenerator.load(nano_onnx)
    samples = list(dataclasses.replace(SMALL, samples=2).record(generator, SMALL.scenes(generator)))
    quantisation.quantise(path, "onnx", samples, Recipe())
    assert [file.name for file in tmp_path.iterdir()] == [ONNX_FILE]
    exact = np.asarray(generator.unet.session.run(samples[0])["out_sample"])
    ours = np.asarray(open_session(path, "onnx").run(samples[0])["out_sample"])
    assert 0 < np.abs(ours - exact).max() < 0.2 * np.abs(exact).max()


def test_what_cannot_be_quantised_says_so_and_stays(tmp_path: Path) -> None:
    path = tmp_path / ONNX_FILE
    path.write_bytes(b"no network")
    with pytest.raises(ExportFailed, match="could not be quantised"):
        quantisation.quantise(path, "onnx", [], Recipe())
    assert path.read_bytes() == b"no network"


@pytest.mark.parametrize("kind", ["hybrid", "weight-only"])
def test_other_recipes_run_too(kind: Kind, tmp_path: Path, nano_openvino: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(nano_openvino, folder)
    one = dataclasses.replace(SMALL, photos=SMALL.photos[:1], samples=4)
    made = quantisation.quantise_folder(folder, "openvino", one, Recipe(kind), lambda stage: None)
    assert made["recipe"]["kind"] == kind
    assert made["drift"]["psnr"] > drift.LEAST_PSNR
    assert (folder / "unet" / "openvino_model.bin").stat().st_size < 9e6


def test_the_command_quantises_and_tells_a_large_drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantisation, "drift", lambda *_: {"psnr": 21.0, "ssim": 0.8, "worst_psnr": 20.0})
    shutil.copy(PHOTOS / "cat.jpg", tmp_path)
    (tmp_path / "prompts").write_text("a beach\na wood\n", encoding="utf-8")
    monkeypatch.setattr(Calibration, "__post_init__", lambda self: object.__setattr__(self, "samples", 2))
    outcome = CliRunner().invoke(
        cli.main,
        ["export", str(NANO_CHECKPOINT), str(tmp_path / "out"), "--format", "onnx", "--precision", "int8",
         "--calibration-images", str(tmp_path), "--calibration-prompts", str(tmp_path / "prompts"),
         "--recipe", "full"],
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout == f"{tmp_path / 'out'}\n"
    assert "PSNR 21.0 dB, SSIM 0.800; below 28 dB or 0.93 look at the pictures" in outcome.stderr
    made = json.loads((tmp_path / "out" / "cyclorama.json").read_text())["quantisation"]
    assert (made["samples"], made["photos"], made["prompts"]) == (2, 1, 2)
