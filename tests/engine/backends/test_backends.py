"""The two backends: they agree, they fail clearly, and the one that works is chosen."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cyclorama import BackendUnavailable, BackgroundGenerator, BadModel, InvalidOptions
from cyclorama.engine.backends import choose_backend, open_session, probe, random_feeds
from cyclorama.engine.backends.ort import DeviceTensor
from cyclorama.engine.diffusion.model_folder import COMPONENTS
from cyclorama.engine.options import Backend
from cyclorama.models.catalogue import embedded
from cyclorama.models.store import home


@pytest.mark.parametrize("component", COMPONENTS)
def test_backends_agree(component: str, nano_onnx: Path, nano_openvino: Path) -> None:
    ir = open_session(nano_openvino / component / "openvino_model.xml", "openvino")
    sessions = [
        ir,
        open_session(nano_onnx / component / "model.onnx", "onnx"),
        open_session(nano_onnx / component / "model.onnx", "openvino"),
    ]
    first, *others = [session.run(random_feeds(session, size=32, batch=2, tokens=32)) for session in sessions]
    for name, value in first.items():
        expected = np.asarray(value)
        for other in others:
            assert np.abs(np.asarray(other[name]) - expected).max() <= 1e-4 * np.abs(expected).max()


def test_results_survive_the_next_run(nano_onnx: Path, nano_openvino: Path) -> None:
    runs: list[tuple[Path, Backend]] = [
        (nano_onnx / "vae_decoder" / "model.onnx", "onnx"),
        (nano_openvino / "vae_decoder" / "openvino_model.xml", "openvino"),
    ]
    for path, backend in runs:
        session = open_session(path, backend)
        first = session.run(random_feeds(session, seed=1))["sample"]
        before = np.array(first)
        session.run(random_feeds(session, seed=2))
        np.testing.assert_array_equal(np.asarray(first), before)


def test_tensors_pass_between_sessions_without_a_copy(nano_onnx: Path) -> None:
    encoder = open_session(nano_onnx / "vae_encoder" / "model.onnx", "onnx")
    latents = encoder.run(random_feeds(encoder, size=32))["latent_parameters"]
    assert isinstance(latents, DeviceTensor)
    assert latents.shape == (1, 4, 4, 4)
    unet = open_session(nano_onnx / "unet" / "model.onnx", "onnx")
    bound = unet.run(random_feeds(unet))["out_sample"]
    assert isinstance(bound, DeviceTensor)
    decoder = open_session(nano_onnx / "vae_decoder" / "model.onnx", "onnx")
    on_device = decoder.run({"latent_sample": bound})["sample"]
    through_host = decoder.run({"latent_sample": np.asarray(bound)})["sample"]
    np.testing.assert_array_equal(np.asarray(on_device), np.asarray(through_host))


def test_missing_and_damaged_files_are_bad_models(tmp_path: Path, nano_openvino: Path) -> None:
    backends: tuple[Backend, ...] = ("onnx", "openvino")
    for backend in backends:
        with pytest.raises(BadModel, match="is missing"):
            open_session(tmp_path / "model.onnx", backend)
        (tmp_path / "broken.onnx").write_bytes(b"not a model")
        with pytest.raises(BadModel, match="cannot load") as error:
            open_session(tmp_path / "broken.onnx", backend)
        assert "\n" not in str(error.value)
    folder = Path(shutil.copytree(nano_openvino, tmp_path / "model"))
    (folder / "unet" / "openvino_model.bin").write_bytes(b"")
    with pytest.raises(BadModel, match="cannot load"):
        BackgroundGenerator.load(folder)


def test_auto_falls_back_where_the_ir_is_damaged(nano_both: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert BackgroundGenerator.load(nano_both).backend == "openvino"
    (nano_both / "unet" / "openvino_model.bin").write_bytes(b"")
    with caplog.at_level(logging.WARNING, "cyclorama"):
        assert BackgroundGenerator.load(nano_both).backend == "onnx"
    assert "using ONNX Runtime" in caplog.text


def test_cuda_without_the_package_says_which_one() -> None:
    with pytest.raises(BackendUnavailable, match="onnxruntime-gpu"):
        BackgroundGenerator.load("nano", device="cuda")
    with pytest.raises(InvalidOptions, match="the openvino backend does not run on cuda"):
        BackgroundGenerator.load("nano", device="cuda", backend="openvino")
    with pytest.raises(BackendUnavailable, match="the format onnx"):
        choose_backend(has_ir=True, has_onnx=False, backend="auto", device="cuda")


def test_auto_takes_openvino_where_there_is_ir(nano_openvino: Path) -> None:
    assert BackgroundGenerator.load(nano_openvino).backend == "openvino"
    assert BackgroundGenerator.load("nano").backend == "onnx"
    assert BackgroundGenerator.load("nano", backend="openvino").backend == "openvino"
    with pytest.raises(BackendUnavailable, match="the format onnx"):
        BackgroundGenerator.load(nano_openvino, backend="onnx")


def crashing(signal: str) -> list[str]:
    return [sys.executable, "-c", f"import os, signal; os.kill(os.getpid(), signal.{signal})"]


def test_a_crash_of_openvino_is_survived_and_remembered(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CYCLORAMA_HOME", str(tmp_path))
    reason = probe.why_openvino_fails(crashing("SIGFPE"))
    assert reason == "its first compile died of SIGFPE"
    assert reason in json.loads((home() / "openvino-probe.json").read_text()).values()
    # Asked again, nothing is run: this command would succeed.
    again = probe.why_openvino_fails([sys.executable, "-c", ""])
    assert again == f"{reason}, says {home() / 'openvino-probe.json'}"
    with caplog.at_level(logging.WARNING, "cyclorama"):
        assert choose_backend(has_ir=True, has_onnx=True, backend="auto", device="cpu") == "onnx"
    assert "openvino-probe.json); using ONNX Runtime" in caplog.text
    with pytest.raises(BackendUnavailable, match=r"SIGFPE.*use `backend` onnx"):
        BackgroundGenerator.load("nano", backend="openvino")
    with pytest.raises(BackendUnavailable, match=r"SIGFPE.*the format onnx"):
        choose_backend(has_ir=True, has_onnx=False, backend="auto", device="cpu")


def test_a_failing_probe_tells_its_last_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYCLORAMA_HOME", str(tmp_path))
    assert probe.why_openvino_fails([sys.executable, "-c", "raise SystemExit('no memory')"]) == "no memory"
    # That may pass; it is not remembered. Nor is a damaged record an obstacle.
    home().mkdir(exist_ok=True)
    (home() / "openvino-probe.json").write_text("[]")
    assert probe.why_openvino_fails([sys.executable, "-c", ""]) is None


def test_the_probe_is_not_misled_by_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYCLORAMA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cyclorama.py").write_text("raise SystemExit('not this one')")
    assert probe.why_openvino_fails() is None


def test_the_probe_itself_works_here_and_needs_no_writable_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLORAMA_HOME", "/proc/nowhere")
    assert probe.why_openvino_fails() is None


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"no model_index\.json"):
        BackgroundGenerator.load(tmp_path)
    with pytest.raises(BadModel, match=r"did you mean .*nano/onnx"):
        BackgroundGenerator.load(embedded("nano").parent)
    with pytest.raises(BadModel, match="is a diffusers checkpoint and must be exported first"):
        BackgroundGenerator.load(embedded("nano").parent / "checkpoint")
    folder = Path(shutil.copytree(embedded("nano"), tmp_path / "nano"))
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(BadModel, match=r"config\.json cannot be read"):
        BackgroundGenerator.load(folder)
    (folder / "vae_encoder" / "model.onnx").unlink()
    with pytest.raises(BadModel, match=r"vae_encoder has neither"):
        BackgroundGenerator.load(folder)
