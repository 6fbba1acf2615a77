"""What a program that serves others needs of the generator: limits, threads, an end, scenes to keep, devices, a log."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import weakref
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from cyclorama import (
    BackendUnavailable,
    BackgroundGenerator,
    BadImage,
    Cancelled,
    InvalidOptions,
    Limits,
    Progress,
    Scene,
    cut_out,
)
from cyclorama.models.store import resolve
from tests.conftest import PHOTOS


def test_a_closed_generator_paints_no_more_but_finishes(scene: Scene) -> None:
    with BackgroundGenerator.load("nano", backend="onnx") as generator:
        steps = generator.steps(scene, "a garden", num_inference_steps=2, seed=1)
        next(steps)
        unet = weakref.ref(generator.unet)
    with pytest.raises(InvalidOptions, match="this generator was closed; load the model again"):
        generator.steps(scene, "a garden")
    with pytest.raises(InvalidOptions, match="this generator was closed"):
        generator.encode(scene)
    generator.close()
    step = next(steps)
    assert step.result().image.size == (512, 512)
    del step, steps
    assert unet() is None


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_threads_are_what_the_network_runs_on(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cyclorama.engine.diffusion import networks

    asked: list[int | None] = []
    opened: Any = networks.open_session  # type: ignore[attr-defined]

    def spied(path: Path, backend: Any, device: Any, threads: int | None, **how: Any) -> Any:
        asked.append(threads)
        return opened(path, backend, device, threads, **how)

    monkeypatch.setattr(networks, "open_session", spied)
    BackgroundGenerator.load("nano", backend=backend, threads=1)
    assert set(asked) == {1}
    with pytest.raises(InvalidOptions, match="threads must be a whole number from 1 to 1024, got 0"):
        BackgroundGenerator.load("nano", threads=0)


def test_limits_are_kept() -> None:
    limits = Limits(pixels=64 * 64, size=128, num_inference_steps=3, prompt_length=20, count=4)
    generator = BackgroundGenerator.load("nano", backend="onnx", limits=limits)
    photo = np.zeros((64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    scene = generator.prepare(photo, mask=mask, size=128)
    with pytest.raises(BadImage, match="more than 4096 pixels"):
        generator.prepare(np.zeros((65, 64, 3), np.uint8), mask=mask)
    with pytest.raises(InvalidOptions, match="a canvas has at most 4096 pixels here, got 100x100"):
        generator.prepare(photo, mask=mask, canvas="100x100")
    with pytest.raises(InvalidOptions, match="size must be a whole number from 32 to 128 for this model, got 256"):
        generator.prepare(photo, mask=mask, size=256)
    for options, message in (
        ({"num_inference_steps": 4}, "num_inference_steps must be at most 3 here, got 4"),
        ({"prompt": "a" * 21}, "the prompt has at most 20 characters, got 21"),
        ({"num_inference_steps": 2, "negative_prompt": "a" * 21}, "the negative_prompt has at most 20 characters"),
        ({"num_inference_steps": 2, "count": 5}, "at most 4 pictures are painted for one request, got 5"),
        ({"num_inference_steps": 2, "count": 2, "best_of": 3}, "at most 4 pictures .* got 6"),
    ):
        with pytest.raises(InvalidOptions, match=message):
            generator.paint(scene, **{"prompt": "a garden", "negative_prompt": "", **options})  # type: ignore[arg-type]
    assert len(list(generator.paint(scene, "a garden", negative_prompt="", num_inference_steps=1, count=4))) == 4
    with pytest.raises(InvalidOptions, match="count must be a whole number of at least 1"):
        Limits(count=0)


def test_a_scene_knows_its_model_its_size_and_can_be_kept(nano: BackgroundGenerator, tmp_path: Path) -> None:
    scene = nano.prepare(PHOTOS / "coffee.jpg")
    assert "vae_encode" not in scene.seconds  # it waits for the first picture
    before = scene.nbytes
    assert 600 * 400 * (3 + 3 + 1) < before < 600 * 400 * 9 + 256 * 256 * 4 * 5 + 320 * 320 * 4 * 3
    kept = pickle.loads(pickle.dumps(scene))
    first = nano.generate(scene, "a garden", num_inference_steps=2, seed=1)
    assert scene.seconds["vae_encode"] > 0
    assert scene.nbytes > before
    for again in (kept, pickle.loads(pickle.dumps(scene))):
        same = nano.generate(again, "a garden", num_inference_steps=2, seed=1)
        np.testing.assert_array_equal(np.asarray(same.image), np.asarray(first.image))
    other = Path(shutil.copytree(resolve("nano"), tmp_path / "other"))
    config = json.loads((other / "vae_encoder" / "config.json").read_text())
    (other / "vae_encoder" / "config.json").write_text(json.dumps({**config, "sample_size": 1}))
    with pytest.raises(InvalidOptions, match="prepared for another model than nano; prepare the photo with this one"):
        BackgroundGenerator.load(other).steps(scene, "a garden")


def test_prepare_takes_a_subject_that_was_cut_out_and_revised(nano: BackgroundGenerator) -> None:
    photo = PHOTOS / "coffee.jpg"
    cutout = cut_out(photo)
    box = (150, 0, 350, 400)
    revised = cutout.revised(box=box)
    np.testing.assert_array_equal(revised.alpha, cut_out(photo, box=box).alpha)
    assert revised.photo is cutout.photo
    pictures = [
        nano.generate(nano.prepare(subject, **options), "a garden", num_inference_steps=1, seed=1)  # type: ignore[arg-type]
        for subject, options in ((revised, {}), (photo, {"box": box}))
    ]
    np.testing.assert_array_equal(np.asarray(pictures[0].image), np.asarray(pictures[1].image))
    with pytest.raises(InvalidOptions, match="no option box"):
        nano.prepare(cutout, box=box)


def test_devices_that_are_not_there() -> None:
    for device in ("gpu", "npu"):
        with pytest.raises(BackendUnavailable, match=f"OpenVINO sees no {device} on this machine, only cpu; install"):
            BackgroundGenerator.load("nano", device=device)
        with pytest.raises(InvalidOptions, match=f"the onnx backend does not run on {device}; use `backend` openvino"):
            BackgroundGenerator.load("nano", backend="onnx", device=device)
    with pytest.raises(InvalidOptions, match="the openvino backend does not run on cuda; use `backend` onnx"):
        BackgroundGenerator.load("nano", backend="openvino", device="cuda")


def test_a_device_is_what_openvino_compiles_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none here: the calls are looked at, and run on the processor."""
    from cyclorama.engine.backends import ov as backend

    real, asked = backend._core(), []

    class Core:
        available_devices = ("CPU", "GPU.0", "GPU.1")

        def compile_model(self, model: Any, device: str, config: dict[str, Any]) -> Any:
            asked.append((device, sorted(config)))
            return real.compile_model(model, "CPU", config)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    monkeypatch.setattr(backend, "_core", Core)
    generator = BackgroundGenerator.load("nano", device="gpu")
    result = generator.generate(generator.prepare(PHOTOS / "coffee.jpg"), "a garden", num_inference_steps=1)
    assert result.backend == "openvino (gpu)"
    assert {device for device, _ in asked} == {"GPU"}
    assert all("INFERENCE_NUM_THREADS" not in config for _, config in asked)


def test_what_is_done_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "cyclorama"):
        generator = BackgroundGenerator.load("nano", backend="onnx")
        scene = generator.prepare(PHOTOS / "coffee.jpg")
        generator.generate(scene, "a garden", num_inference_steps=2, seed=5)
    said = {(record.levelname, record.getMessage().split(" ")[0]) for record in caplog.records}
    assert {("INFO", "loaded"), ("INFO", "painted"), ("DEBUG", "step")} <= said
    assert "garden" not in caplog.text  # what was asked for is nobody else's business


def test_the_service_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`make check` holds it to mypy --strict; here it paints in two threads, one is cancelled, errors have codes."""
    from docs import service

    monkeypatch.chdir(tmp_path)
    photo = (PHOTOS / "coffee.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(photo)
    service.main("a.jpg", "a garden", "a beach")
    assert all((tmp_path / f"out-{number}.jpg").stat().st_size < 1_000_000 for number in (0, 1))
    service.main("a.jpg", " ")
    assert "0: invalid_options (prompt): the prompt is empty" in capsys.readouterr().err
    cancelled, steps = Event(), []
    generator = BackgroundGenerator.load("nano")

    def told(progress: Progress) -> None:
        steps.append(progress)
        if len(steps) == 2:
            cancelled.set()

    with pytest.raises(Cancelled) as caught:
        service.paint(generator, photo, "a garden", cancelled, told)
    assert (caught.value.code, len(steps)) == ("cancelled", 2)
    with pytest.raises(BadImage) as bad:
        service.paint(generator, b"no photo", "a garden", Event(), told)
    assert bad.value.code == "bad_image"
