"""OpenVINO's sessions: what is compiled, kept on disk and cut in two."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import openvino as ov
import psutil
import pytest

from cyclorama import BackgroundGenerator, BadModel
from cyclorama.engine.backends import (
    DEEP_FEATURES,
    OPENVINO_FILE,
    Part,
    Session,
    Tensor,
    compiled,
    downsampling,
    open_session,
    random_feeds,
)
from cyclorama.engine.machine import available_cores, mapped_memory_given_back
from tests.conftest import ROOT

PARTS: tuple[Part, Part] = ("downsampled", "whole")


@pytest.fixture
def model(nano_openvino: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CYCLORAMA_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(nano_openvino / "vae_encoder", tmp_path / "vae_encoder")) / OPENVINO_FILE


def kept() -> list[Path]:
    return sorted(compiled.folder().glob("*"))


def output(session: Session) -> np.ndarray:
    return np.asarray(next(iter(session.run(random_feeds(session, size=32)).values())))


def count_compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    core = ov.Core()

    class Counting:
        def __getattr__(self, name: str) -> object:
            if name in ("compile_model", "import_model"):
                calls.append(name)
            return getattr(core, name)

    monkeypatch.setattr("cyclorama.engine.backends.ov._core", Counting)
    return calls


def test_what_was_compiled_is_taken_from_disk(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_compilations(monkeypatch)
    first = output(open_session(model, "openvino"))
    assert calls == ["compile_model"]
    assert len(kept()) == 1
    again = output(open_session(model, "openvino"))
    assert calls == ["compile_model", "import_model"]
    np.testing.assert_array_equal(again, first)


def test_other_shapes_precision_threads_and_models_are_kept_apart(model: Path) -> None:
    session = open_session(model, "openvino")
    for size in (32, 64, 32):
        session.run(random_feeds(session, size=size))
    assert len(kept()) == 2
    output(open_session(model, "openvino", exact=False))
    output(open_session(model, "openvino", threads=available_cores() + 1))
    assert len(kept()) == 4


def test_a_changed_model_is_compiled_again(model: Path) -> None:
    before = output(open_session(model, "openvino"))
    weights = model.with_suffix(".bin")
    weights.write_bytes(np.multiply(np.frombuffer(weights.read_bytes(), np.float32), 0.5).tobytes())
    assert not np.array_equal(output(open_session(model, "openvino")), before)
    assert len(kept()) == 2


@pytest.mark.parametrize("how", ["replaced", "written over", "gone"])
def test_weights_that_changed_under_a_session_are_not_mixed_with_those_that_run(model: Path, how: str) -> None:
    session = open_session(model, "openvino")
    before = output(session)
    weights = model.with_suffix(".bin")
    other = np.multiply(np.frombuffer(weights.read_bytes(), np.float32), 0.5).tobytes()
    if how == "gone":
        weights.unlink()
    elif how == "replaced":
        weights.with_suffix(".new").write_bytes(other)
        weights.with_suffix(".new").replace(weights)
    else:
        with weights.open("r+b") as file:
            file.write(other)
    if how != "written over":  # what was mapped is then what was written
        np.testing.assert_array_equal(output(session), before)
    with pytest.raises(BadModel, match=r"was changed or removed since it was loaded; load the model again"):
        session.run(random_feeds(session, size=48))


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_file_is_made_again(model: Path, damage: bytes | None) -> None:
    before = output(open_session(model, "openvino"))
    (file,) = kept()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    np.testing.assert_array_equal(output(open_session(model, "openvino")), before)
    assert compiled._read(file) is not None


def test_the_folder_stays_within_its_limit(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(model, "openvino")
    session.run(random_feeds(session, size=32))
    (oldest,) = kept()
    monkeypatch.setattr(compiled, "LIMIT", int(1.5 * oldest.stat().st_size))
    session.run(random_feeds(session, size=64))
    assert len(kept()) == 1
    assert kept() != [oldest]


def test_a_home_that_cannot_be_written_is_no_hindrance(model: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    assert np.isfinite(output(open_session(model, "openvino"))).all()


def test_a_home_that_can_only_be_read_is_used(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output(open_session(model, "openvino"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(Path, "touch", refuse)
    calls = count_compilations(monkeypatch)
    output(open_session(model, "openvino"))
    assert calls == ["import_model"]


def test_two_processes_share_the_folder(model: Path) -> None:
    code = (
        "import sys, pathlib, numpy as np\n"
        "from cyclorama.engine.backends import open_session, random_feeds\n"
        "s = open_session(pathlib.Path(sys.argv[1]), 'openvino')\n"
        "print(float(np.asarray(next(iter(s.run(random_feeds(s, size=32)).values()))).sum()))"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(model)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    printed = [child.communicate()[0] for child in children]
    assert printed[0] == printed[1] != ""
    assert [path.suffix for path in kept()] == [".blob"]


def test_mapped_memory_can_be_read_again(model: Path) -> None:
    weights = model.with_suffix(".bin")
    weights.write_bytes(bytes(range(256)) * 40_000)
    mapped = np.memmap(weights, np.uint8, "r")
    before = mapped.sum()
    resident = psutil.Process().memory_info().shared
    with mapped_memory_given_back(weights, every=0.001):
        for _ in range(20):
            assert mapped.sum() == before
    if sys.platform == "linux":
        assert psutil.Process().memory_info().shared < resident - 8e6
    assert mapped.sum() == before


def spied_on(session: Session) -> list[int]:
    """Grows by one with each run."""
    runs: list[int] = []
    run = session.run

    def counted(feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        runs.append(1)
        return run(feeds)

    session.run = counted  # type: ignore[method-assign]
    return runs


def test_on_onnxruntime_every_step_is_computed_in_full(nano_onnx: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    generator = BackgroundGenerator.load(nano_onnx, backend="onnx")
    scene = generator.prepare(np.full((64, 64, 3), 90, np.uint8), mask=mask, size=64)
    plain, cached = (
        generator.generate(scene, "a beach", num_inference_steps=4, seed=0, cache_interval=n) for n in (1, 3)
    )
    assert cached.image.tobytes() == plain.image.tobytes()
    assert cached.summary()["cache_interval"] == 1
    ended = generator.generate(scene, "a beach", num_inference_steps=4, seed=0, guidance_interval=(0, 0.5))
    assert ended.image.tobytes() != plain.image.tobytes()


def test_one_unet_at_a_time_stays_compiled(nano_openvino: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    generator = BackgroundGenerator.load(nano_openvino)
    scene = generator.prepare(np.full((64, 64, 3), 90, np.uint8), mask=mask, size=64)
    for is_cheap in (False, True, False):
        generator.generate(scene, "a beach", num_inference_steps=1, token_downsampling=is_cheap)
        in_use: list[Any] = [generator.unet.session, generator.unet.part("downsampled")][:: -1 if is_cheap else 1]
        assert [session._last is not None for session in in_use] == [True, False]


def test_auto_turns_to_onnxruntime_where_openvino_cannot_compile(
    nano_both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr("cyclorama.engine.backends.ov.compile_model", refuse)
    assert BackgroundGenerator.load(nano_both).backend == "onnx"


def unet_feeds(session: Session) -> dict[str, Tensor]:
    return random_feeds(session, size=16, tokens=32)


@pytest.mark.parametrize("exported", ["nano_openvino", "nano_onnx"])
def test_a_cut_unet_computes_what_the_whole_does(exported: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(exported)
    path = next((folder / "unet").glob("*.xml"), folder / "unet" / "model.onnx")
    whole, full, shallow = (open_session(path, "openvino", part=part) for part in get_args(Part)[:3])
    feeds = unet_feeds(whole)
    expected = np.asarray(whole.run(feeds)["out_sample"])
    results = full.run(feeds)
    np.testing.assert_allclose(np.asarray(results["out_sample"]), expected, atol=1e-5)
    # Handed the features of the very same step, the shallow part must give the very same answer.
    deep = {name: {**feeds, DEEP_FEATURES: results[DEEP_FEATURES]}[name] for name in shallow.inputs}
    np.testing.assert_allclose(np.asarray(shallow.run(deep)["out_sample"]), expected, atol=1e-5)
    # And it does depend on them.
    deep[DEEP_FEATURES] = np.asarray(results[DEEP_FEATURES]) + 1
    assert np.abs(np.asarray(shallow.run(deep)["out_sample"]) - expected).max() > 1e-2


def test_what_has_no_skip_connection_cannot_be_cut(nano_openvino: Path) -> None:
    with pytest.raises(BadModel, match="no skip connection"):
        open_session(nano_openvino / "text_encoder" / OPENVINO_FILE, "openvino", part="full")


def test_caching_changes_little_and_saves_full_runs(nano_openvino: Path) -> None:
    generator = BackgroundGenerator.load(nano_openvino, exact=True)
    photo = np.full((128, 128, 3), 128, np.uint8)
    mask = np.zeros((128, 128), np.uint8)
    mask[40:90, 40:90] = 255
    scene = generator.prepare(photo, mask=mask)
    runs = spied_on(generator.unet.session)
    options: dict[str, Any] = {"seed": 3, "num_inference_steps": 12}
    plain = generator.generate(scene, "a beach", cache_interval=1, guidance_interval=(0, 1), **options)
    assert len(runs) == 24
    runs.clear()
    cached = generator.generate(scene, "a beach", cache_interval=3, guidance_interval=(0, 0.5), **options)
    assert len(runs) == 2 * 2 + 2  # of steps 0, 3, 6 and 9 the first two are guided
    difference = np.asarray(plain.background, np.float64) - np.asarray(cached.background, np.float64)
    assert 0 < (difference**2).mean() < 255**2 / 10**2.2  # 22 dB


def test_guidance_may_begin_late(nano_openvino: Path) -> None:
    """A step that begins guidance amid cached ones has no features for the second half and runs in full."""
    generator = BackgroundGenerator.load(nano_openvino)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    scene = generator.prepare(np.full((64, 64, 3), 90, np.uint8), mask=mask, size=64)
    full, shallow = spied_on(generator.unet.session), spied_on(generator.unet.part("shallow"))
    generator.generate(scene, "a beach", num_inference_steps=6, cache_interval=4, guidance_interval=(0.3, 0.8), seed=0)
    # Steps 0 to 5: full, shallow, both halves full, both shallow, both full, one shallow.
    assert (len(full), len(shallow)) == (1 + 2 + 2, 1 + 2 + 1)


class Downsampled:
    """diffusers' attention with keys and values of every second token of every second row, where tokens are many."""

    def __init__(self, width: int) -> None:
        self._width = width

    def __call__(self, attn: Any, hidden_states: Any, encoder_hidden_states: Any = None, **_: Any) -> Any:
        import torch

        source = encoder_hidden_states
        if source is None:
            source = hidden_states
            if source.shape[1] == self._width**2:
                grid = source.unflatten(1, (self._width, self._width))
                source = grid[:, ::2, ::2].flatten(1, 2)
        q, k, v = attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source)
        q, k, v = (x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in (q, k, v))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out))


def test_token_downsampling_is_that_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from diffusers import UNet2DConditionModel

    from cyclorama.export import export_checkpoint
    from tests.checkpoints import make_checkpoint

    checkpoint = make_checkpoint(tmp_path / "checkpoint")
    folder = export_checkpoint(checkpoint, tmp_path / "model", precision="fp32")
    unet: Any = UNet2DConditionModel.from_pretrained(checkpoint / "unet")
    session, whole = (open_session(folder / "unet" / OPENVINO_FILE, "openvino", part=part) for part in PARTS)
    monkeypatch.setattr(downsampling, "LEAST_TOKENS", 16 * 16)
    feeds = random_feeds(session, size=16, tokens=32)
    plain = np.asarray(whole.run(feeds)["out_sample"])
    unet.set_attn_processor(Downsampled(16))
    with torch.no_grad():
        expected = unet(**{name: torch.from_numpy(np.asarray(value)) for name, value in feeds.items()}).sample.numpy()
    actual = np.asarray(session.run(feeds)["out_sample"])
    assert np.abs(actual - expected).max() < 1e-4 * np.abs(expected).max() < np.abs(actual - plain).max()


_PINNED = """
import os, sys
from pathlib import Path
from cyclorama.engine.backends import open_session, random_feeds
os.sched_setaffinity(0, range(os.cpu_count()))
all_cores = os.sched_getaffinity(0)
session = open_session(Path(sys.argv[1]), "openvino", threads=1)
session.run(random_feeds(session, size=32, tokens=32))
print([task for task in os.listdir("/proc/self/task") if os.sched_getaffinity(int(task)) != all_cores])
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="of Linux alone")
def test_no_thread_is_pinned_to_a_core(nano_openvino: Path) -> None:
    """OpenVINO by itself pins the first to the first core, in each of several processes."""
    words = [sys.executable, "-c", _PINNED, str(nano_openvino / "unet" / "openvino_model.xml")]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == "[]"
