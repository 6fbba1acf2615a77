"""Checkpoints load whole or not at all, and messages name what a file really is."""

from __future__ import annotations

import itertools
import json
import pickle
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cyclorama import BackgroundGenerator, BadModel, InvalidOptions, ModelNotFound
from cyclorama.export import ExportFailed, Recipe, check_request, export_checkpoint
from cyclorama.export.lora import fuse_lora
from cyclorama.export.request import stages
from cyclorama.export.source import load_pipeline
from cyclorama.models.hub import choose_files
from cyclorama.models.store import resolve
from cyclorama.models.weights import choose_weights, why_no_weights
from tests.checkpoints import make_checkpoint
from tests.export.test_export import original_layout

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("sources") / "checkpoint")


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


FILES = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
}


def without_one(weights: Weights) -> Weights:
    return dict(sorted(weights.items())[1:])


def with_another(weights: Weights) -> Weights:
    return {**weights, "somebodys.lora_A.weight": torch.zeros(2)}


def of_another_shape(weights: Weights) -> Weights:
    first = min(weights)
    return {**weights, first: torch.zeros(3, 5)}


@pytest.mark.parametrize(
    ("change", "said"),
    [(without_one, "lacks {}"), (with_another, "do not belong to it, somebodys.lora_A.weight"),
     (of_another_shape, r"has tensors of another shape, {}")],
)  # fmt: skip
@pytest.mark.parametrize("part", FILES)
def test_every_component_is_whole_or_refused(
    part: str, change: Callable[[Weights], Weights], said: str, copy: Path
) -> None:
    weights = load_file(copy / FILES[part])
    save_file(change(weights), copy / FILES[part], metadata={"format": "pt"})
    with pytest.raises(ExportFailed, match=said.format(min(weights))) as error:
        load_pipeline(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", FILES)
def test_a_single_file_is_whole_or_refused(
    part: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyclorama.export.source.fetch_repository", lambda *_, **__: (tiny, None))
    prefix = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "text_encoder": "cond_stage_model."}[part]
    whole = original_layout(tiny)
    path = tmp_path / "single.safetensors"
    own = sorted(key for key in whole if key.startswith(prefix) and "input_blocks.0.0" not in key)
    save_file({key: value for key, value in whole.items() if key != own[3]}, path)
    with pytest.raises(ExportFailed, match=r"single\.safetensors lacks ") as error:
        load_pipeline(path)
    assert "\n" not in str(error.value)
    save_file({key: value for key, value in whole.items() if not key.startswith(prefix)}, path)
    with pytest.raises(
        ExportFailed, match={"unet": "is it a LoRA", "vae": "holds no VAE", "text_encoder": "no text encoder"}[part]
    ):
        load_pipeline(path)
    save_file({**whole, f"{own[3]}.lora_A": torch.zeros(1)}, path)
    if part == "unet":
        with pytest.raises(ExportFailed, match="do not belong to it"):
            load_pipeline(path)


def test_ema_weights_are_told(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr("cyclorama.export.source.fetch_repository", lambda *_, **__: (tiny, None))
    whole, path = original_layout(tiny), tmp_path / "single.safetensors"
    own = {key: value for key, value in whole.items() if key.startswith("model.")}
    ema = {f"model_ema.{key.replace('.', '')}": value.clone() for key, value in own.items()}
    save_file({**whole, **ema}, path)
    load_pipeline(path)
    assert "also holds EMA weights" in caplog.text
    save_file({**{key: value for key, value in whole.items() if key not in own}, **ema}, path)
    with pytest.raises(ExportFailed, match="EMA weights only"):
        load_pipeline(path)


def test_half_precision_in_a_single_file(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclorama.export.source.fetch_repository", lambda *_, **__: (tiny, None))
    save_file({key: value.half() for key, value in original_layout(tiny).items()}, tmp_path / "half.safetensors")
    loaded, _ = load_pipeline(tmp_path / "half.safetensors")
    assert loaded.unet.dtype == loaded.vae.dtype == loaded.text_encoder.dtype == torch.float32


def test_position_ids_of_older_text_encoders_are_no_fault(copy: Path) -> None:
    path = copy / FILES["text_encoder"]
    old = {**load_file(path), "text_model.embeddings.position_ids": torch.arange(32)[None]}
    save_file(old, path, metadata={"format": "pt"})
    load_pipeline(copy)


def variant(path: Path, how: str) -> None:
    """Turns a component's one file into what some repository has."""
    weights = load_file(path)
    stem = path.name.removesuffix(".safetensors")
    if how in ("fp16", "bf16", "both"):
        kind = "fp16" if how == "both" else how
        dtype = torch.float16 if kind == "fp16" else torch.bfloat16
        twin = path.with_name(f"{stem}.{kind}.safetensors")
        save_file({key: value.to(dtype) for key, value in weights.items()}, twin, metadata={"format": "pt"})
    elif how.startswith("sharded"):
        marks = {"sharded": ("", ""), "sharded fp16": (".fp16", "")}[how]
        names = sorted(weights)
        halves = (names[: len(names) // 2], names[len(names) // 2 :])
        index: dict[str, str] = {}
        for number, half in enumerate(halves, 1):
            shard = f"{stem}{marks[0]}-{number:05}-of-00002.safetensors"
            dtype = torch.float16 if "fp16" in how else torch.float32
            save_file({key: weights[key].to(dtype) for key in half}, path.with_name(shard), metadata={"format": "pt"})
            index |= dict.fromkeys(half, shard)
        body = json.dumps({"metadata": {"total_size": 1}, "weight_map": index})
        path.with_name(f"{stem}.safetensors.index{marks[0]}.json").write_text(body)
    elif how == "bin":
        stem = "pytorch_model" if stem == "model" else stem
        torch.save(weights, path.with_name(f"{stem}.bin"))
    if how != "both":
        path.unlink()


KINDS = ("fp16", "bf16", "both", "sharded", "sharded fp16", "bin")


@pytest.mark.parametrize(
    ("one", "other"), [pair for pair in itertools.product(("full", *KINDS), KINDS) if pair[0] != pair[1]][::3]
)
def test_each_component_may_have_weights_of_its_own_kind(one: str, other: str, tiny: Path, copy: Path) -> None:
    """As from the hub, where only what is chosen is fetched."""
    for part, how in zip(FILES, (one, other, one), strict=True):
        if how != "full":
            variant(copy / FILES[part], how)
    names = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()]
    for name in set(names) - set(choose_files(names)):
        (copy / name).unlink()
    loaded, reference = load_pipeline(copy)[0], load_pipeline(tiny)[0]
    for part in FILES:
        ours, theirs = (getattr(pipeline, part).state_dict() for pipeline in (loaded, reference))
        for key, weight in theirs.items():
            torch.testing.assert_close(ours[key], weight, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["diffusion_pytorch_model.non_ema.safetensors", "diffusion_pytorch_model.bin"],
         ["diffusion_pytorch_model.bin"]),
        (["model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin"],
         ["pytorch_model.bin"]),
        (["model-00001-of-00001.safetensors", "model.safetensors.index.json"],
         ["model-00001-of-00001.safetensors", "model.safetensors.index.json"]),
        (["diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
          "diffusion_pytorch_model-00002-of-00002.fp16.safetensors",
          "diffusion_pytorch_model.safetensors.index.fp16.json"], "all"),
        (["openvino_model.xml", "model.onnx", "flax_model.msgpack"], None),
        ([], None),
    ],
)  # fmt: skip
def test_which_files_are_chosen(names: list[str], chosen: Any) -> None:
    files = choose_weights(names)
    expected = None if chosen is None else sorted(names if chosen == "all" else chosen)
    assert (sorted(files.names) if files else None) == expected


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer/vocab.json", "{}", r"vocab\.json does not say"),
        ("tokenizer/merges.txt", None, r"has no merges\.txt"),
        ("scheduler/scheduler_config.json", "{}", r"scheduler_config\.json does not say _class_name"),
        ("scheduler/scheduler_config.json", '{"_class_name": "Nope"}', "a Nope, which diffusers does not have"),
        ("unet/config.json", "{}", r"unet/config\.json does not say in_channels"),
        ("unet/config.json", "[]", r"unet/config\.json cannot be read"),
        ("text_encoder/config.json", None, r"text_encoder/config\.json cannot be read"),
        ("vae/config.json", "{", r"vae/config\.json cannot be read"),
    ],
)
def test_configs_are_whole_or_named(name: str, content: str | None, said: str, copy: Path) -> None:
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_text(content)
    with pytest.raises(ExportFailed, match=said) as error:
        load_pipeline(copy)
    assert "\n" not in str(error.value)


def test_a_tokenizer_that_reads_otherwise_is_no_export(copy: Path, tmp_path: Path) -> None:
    vocabulary = json.loads((copy / "tokenizer" / "vocab.json").read_text())
    for word in ("beach</w>", "sunset</w>"):
        del vocabulary[word]
    (copy / "tokenizer" / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(ExportFailed, match="tokenizer"):
        export_checkpoint(copy, tmp_path / "model", format="onnx")
    assert not (tmp_path / "model").exists()


def test_what_is_wrong_with_a_component_is_named(copy: Path) -> None:
    unet = copy / FILES["unet"]
    whole = unet.read_bytes()
    unet.write_bytes(whole[:-100])
    with pytest.raises(ExportFailed, match=r"is cut off: it has \d+ of \d+ bytes"):
        load_pipeline(copy)
    unet.write_bytes(whole)
    variant(unet, "sharded")
    shard = next(unet.parent.glob("*-00002-of-00002.safetensors"))
    shard.unlink()
    with pytest.raises(ExportFailed, match=r"only .*-00001-of-00002.*is a shard or its index missing"):
        load_pipeline(copy)


def test_single_files_of_others(tmp_path: Path) -> None:
    flux = {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": torch.zeros(1)}
    lora = {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight": torch.zeros(1, 1)}
    odd = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1), "first_stage_model.a": torch.zeros(1),
           "cond_stage_model.a": torch.zeros(1)}  # fmt: skip
    for weights, said in ((flux, "another family"), (lora, "is it a LoRA"), (odd, "first convolution has the shape")):
        save_file(weights, tmp_path / "a.safetensors")
        with pytest.raises(ExportFailed, match=said):
            load_pipeline(tmp_path / "a.safetensors")


NO_WEIGHTS = {
    b"": "is empty",
    POINTER: "Git LFS pointer.*git lfs pull",
    b"PK\x03\x04" + bytes(40): "pickled checkpoint.*turn it into",
    b"\x80\x02" + bytes(40): "pickled checkpoint",
    b"\x80\x05" + bytes(40): "pickled checkpoint",
    b"GGUF" + bytes(40): "GGUF",
    b"<!DOCTYPE html><html>": "web page",
    (10**6).to_bytes(8, "little") + b"{}": "cut off",
}


@pytest.mark.parametrize("content", NO_WEIGHTS)
def test_what_a_file_is_is_told_by_its_content(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    said = NO_WEIGHTS[content]
    with pytest.raises(ExportFailed, match=said) as error:
        check_request(path, tmp_path / "out", format="onnx", precision="fp16")
    assert "\n" not in str(error.value)
    with pytest.raises(ModelNotFound, match=said):
        resolve(path)
    with pytest.raises(ExportFailed, match=said):
        check_request("sd15-inpaint", tmp_path / "out", format="onnx", precision="fp16", loras=[(str(path), 1.0)])


def test_the_remedy_for_a_pickle_works(tiny: Path, tmp_path: Path) -> None:
    whole = original_layout(tiny)
    path = tmp_path / "my model.ckpt"
    torch.save({"state_dict": whole, "global_step": 7}, path)
    remedy = (why_no_weights(path) or "").partition("turn it into .safetensors: ")[2]
    command = shlex.split(remedy)
    subprocess.run([sys.executable, *command[1:]], check=True)
    converted = load_file(tmp_path / "my model.safetensors")
    assert converted.keys() == whole.keys()
    assert why_no_weights(tmp_path / "my model.safetensors") is None


def test_pointers_in_folders(copy: Path, tmp_path: Path, nano_onnx: Path) -> None:
    (copy / FILES["vae"]).write_bytes(POINTER)
    with pytest.raises(ExportFailed, match=r"vae.*Git LFS pointer"):
        load_pipeline(copy)
    model = Path(shutil.copytree(nano_onnx, tmp_path / "model"))
    (model / "unet" / "model.onnx").write_bytes(POINTER)
    with pytest.raises(BadModel, match=r"unet.*Git LFS pointer"):
        BackgroundGenerator.load(model)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({"_class_name": "FluxInpaintPipeline", "transformer": []}, "a FLUX model"),
        ({"_class_name": "StableDiffusion3Pipeline", "transformer": []}, "Stable Diffusion 3"),
        ({"_class_name": "StableDiffusionXLInpaintPipeline", "text_encoder_2": []}, "Stable Diffusion XL"),
        ({"_class_name": "SomethingPipeline", "transformer": []}, "another family"),
    ],
)
def test_other_families_are_named(index: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ExportFailed, match=said):
        load_pipeline(tmp_path)
    with pytest.raises(BadModel, match=said):
        BackgroundGenerator.load(tmp_path)


@pytest.mark.parametrize("broken", ["", "{", "[]", "null"])
def test_a_broken_index_is_told(broken: str, copy: Path) -> None:
    (copy / "model_index.json").write_text(broken)
    with pytest.raises(ExportFailed, match=r"model_index\.json cannot be read") as error:
        load_pipeline(copy)
    assert "\n" not in str(error.value)


ASKED: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
    ({"source": "https://example.org/owner/name"}, ExportFailed, "web address; give its id alone: owner/name"),
    ({"source": "https:/example.org/owner/name"}, ExportFailed, "give its id alone: owner/name"),
    ({"source": "no-such-folder"}, ExportFailed, "there is no checkpoint no-such-folder"),
    ({"source": 7}, InvalidOptions, "a checkpoint is a folder"),
    ({"format": "onx"}, InvalidOptions, "did you mean onnx"),
    ({"precision": "int4"}, InvalidOptions, "precision must be one of"),
    ({"loras": [("missing.safetensors", 1.0)]}, ExportFailed, r"no LoRA file missing\.safetensors"),
    ({"loras": [("lcm-lora-sd15", float("nan"))]}, InvalidOptions, "must be a number"),
    ({"loras": "lcm-lora-sd15"}, InvalidOptions, "pairs of a file and a scale"),
    ({"tiny_vae": "nowhere"}, ExportFailed, "there is no tiny VAE nowhere"),
    ({"distilled": "turbo"}, InvalidOptions, "distilled must be one of lcm, tcd"),
    ({"recipe": "full"}, InvalidOptions, "must be a Recipe"),
    ({"recipe": Recipe("hybrid"), "precision": "int8", "format": "onnx"}, InvalidOptions, "is for OpenVINO"),
    ({"has_calibration": True}, InvalidOptions, "goes with precision int8"),
    ({"out_dir": None}, InvalidOptions, "must be a path"),
)


@pytest.mark.parametrize(("asked", "error", "said"), ASKED)
def test_what_is_asked_is_checked_first(asked: dict[str, Any], error: Any, said: str, tmp_path: Path) -> None:
    options = {
        "source": "sd15-inpaint",
        "out_dir": tmp_path / "out",
        "format": "openvino",
        "precision": "fp16",
        **asked,
    }
    with pytest.raises(error, match=said) as raised:
        check_request(options.pop("source"), options.pop("out_dir"), **options)
    assert "\n" not in str(raised.value)


def test_checking_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    code = (
        "import sys, click.testing, cli\n"
        "result = click.testing.CliRunner().invoke(cli.main, ['export', *sys.argv[1:]])\n"
        "assert result.exit_code in (1, 2), result.output\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'optimum', 'nncf'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    for words in (
        ("nowhere", "out"), ("nano", str(tmp_path / "full")), ("nano", "out", "--lora", "missing.safetensors"),
        ("nano", "out", "--recipe", "hybrid"),
    ):  # fmt: skip
        subprocess.run([sys.executable, "-c", code, *words], check=True)


def test_the_stages_told_are_those_that_come(tiny: Path, tmp_path: Path) -> None:
    told: list[str] = []
    export_checkpoint(tiny, tmp_path / "model", format="onnx", progress=told.append)
    assert tuple(told) == stages()


def lora_file(
    path: Path, metadata: dict[str, Any], ranks: dict[str, int], alphas: dict[str, float] | None = None
) -> str:
    """Ones throughout: each weight changes by the scale times the rank."""
    tensors: Weights = {}
    for name, rank in ranks.items():
        tensors |= {f"{name}.lora_A.weight": torch.ones(rank, 16), f"{name}.lora_B.weight": torch.ones(16, rank)}
        if alphas and name in alphas:
            tensors[f"{name}.alpha"] = torch.tensor(alphas[name])
    about = {f"unet.{key}": value for key, value in metadata.items()}
    save_file(tensors, path, metadata={"format": "pt", "lora_adapter_metadata": json.dumps(about)})
    return str(path)


ATTENTION = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1"
Q, K = f"{ATTENTION}.to_q", f"{ATTENTION}.to_k"


@pytest.mark.parametrize(
    ("metadata", "of_q", "of_k"),
    [
        ({"r": 4, "lora_alpha": 16}, 16.0, 16.0),
        ({"r": 4, "lora_alpha": 16, "use_rslora": True}, 32.0, 32.0),
        ({"r": 4, "lora_alpha": 16, "alpha_pattern": {"to_k": 2}}, 16.0, 2.0),
        ({"r": 4, "lora_alpha": 16, "alpha_pattern": {"attn1.to_.": 8}}, 8.0, 8.0),
        ({"r": 9, "lora_alpha": 16, "rank_pattern": {"to_q": 4, "to_k": 4}}, 16.0, 16.0),
        ({"r": 4, "lora_alpha": 16, "init_lora_weights": "gaussian", "use_dora": False}, 16.0, 16.0),
    ],
)
def test_the_metadata_of_a_lora_is_honoured(
    metadata: dict[str, Any], of_q: float, of_k: float, tiny: Path, tmp_path: Path
) -> None:
    pipeline, _ = load_pipeline(tiny)
    modules = dict(pipeline.unet.named_modules())
    weights = {name: modules[name.removeprefix("unet.")].weight for name in (Q, K)}
    before = {name: weight.clone() for name, weight in weights.items()}
    fuse_lora(pipeline, lora_file(tmp_path / "lora.safetensors", metadata, {Q: 4, K: 4}))
    for name, change in ((Q, of_q), (K, of_k)):
        torch.testing.assert_close(weights[name] - before[name], torch.full((16, 16), change), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("metadata", "ranks", "said"),
    [
        ({"r": 4, "use_dora": True}, {Q: 4}, "unet.use_dora = True"),
        ({"r": 4, "lora_bias": True}, {Q: 4}, "unet.lora_bias = True"),
        ({"r": 4, "init_lora_weights": "pissa"}, {Q: 4}, "init_lora_weights = 'pissa'"),
        ({"r": 4, "bias": "all"}, {Q: 4}, "bias = 'all'"),
        ({"r": 4, "modules_to_save": ["conv_in"]}, {Q: 4}, "modules_to_save"),
        ({"r": 4, "something_new": 3}, {Q: 4}, "something_new = 3"),
        ({"r": 8, "lora_alpha": 8}, {Q: 4}, "should have the rank 8, but has 4"),
        ({}, {Q: 0}, "its rank is 0"),
        ({"alpha_pattern": {"(": 2}}, {Q: 4}, "damaged: unet.alpha_pattern has"),
        ({"alpha_pattern": ["a"]}, {Q: 4}, "damaged: unet.alpha_pattern is"),
        ({"rank_pattern": {"to_q": "two"}}, {Q: 4}, "damaged: unet.rank_pattern is 'two', no number"),
        ({"lora_alpha": "x"}, {Q: 4}, "damaged: unet.lora_alpha is 'x', no number"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(
    metadata: dict[str, Any], ranks: dict[str, int], said: str, tiny: Path, tmp_path: Path
) -> None:
    pipeline, _ = load_pipeline(tiny)
    with pytest.raises(ExportFailed, match=said) as error:
        fuse_lora(pipeline, lora_file(tmp_path / "lora.safetensors", metadata, ranks))
    assert "\n" not in str(error.value)


def test_a_loras_own_alpha_goes_before_its_metadata(tiny: Path, tmp_path: Path) -> None:
    pipeline, _ = load_pipeline(tiny)
    weight = dict(pipeline.unet.named_modules())[Q.removeprefix("unet.")].weight
    before = weight.clone()
    fuse_lora(pipeline, lora_file(tmp_path / "l.safetensors", {"r": 4, "lora_alpha": 16}, {Q: 4}, {Q: 2.0}))
    torch.testing.assert_close(weight - before, torch.full((16, 16), 2.0), rtol=1e-4, atol=1e-4)


class _Runs:
    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._marker,)


@pytest.mark.parametrize("how", ["torch.save", "pickle"])
@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_a_pickle_that_would_run_code_runs_none(part: str, how: str, copy: Path, tmp_path: Path) -> None:
    marker, path = tmp_path / "it-ran", copy / FILES[part]
    bad = {"weight": _Runs(marker)}
    stem = "pytorch_model" if part == "text_encoder" else path.name.partition(".")[0]
    with path.with_name(f"{stem}.bin").open("wb") as file:
        torch.save(bad, file) if how == "torch.save" else pickle.dump(bad, file)
    path.unlink()
    with pytest.raises(ExportFailed) as error:
        load_pipeline(copy)
    assert "\n" not in str(error.value)
    assert not marker.exists()
