"""What the generator promises beside parity: reproducible, untouched subjects, honest errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama import BackgroundGenerator, BadImage, Cancelled, GenerationOptions, InvalidOptions, Progress, Scene
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.presets import NEGATIVE_PROMPT, resolve_options
from tests.conftest import DATA, PHOTOS


def test_result_holds_what_it_promises(nano: BackgroundGenerator, scene: Scene) -> None:
    result = nano.generate(scene, "a sandy beach at sunset", seed=7)
    photo = np.asarray(Image.open(PHOTOS / "astronaut.jpg").convert("RGB"))
    alpha = np.asarray(result.alpha)
    image, background = np.asarray(result.image), np.asarray(result.background)
    assert image.shape == background.shape == photo.shape
    np.testing.assert_array_equal(image[alpha == 255], photo[alpha == 255])
    assert (alpha == 255).mean() > 0.4
    np.testing.assert_array_equal(image[alpha == 0], background[alpha == 0])
    assert result.seed == 7
    assert result.options.num_inference_steps == 20
    assert result.options.guidance_scale == 3.5
    stages = ["photo", "mask", "vae_encode", "text", "compile", "denoise", "decode", "edges", "composite"]
    assert sorted(result.seconds) == sorted(stages)
    assert all(value > 0 for value in result.seconds.values())
    assert 50e6 < result.peak_memory < 20e9
    assert result.model == "nano"
    assert "Steps: 20, Sampler: dpmpp_2m_karras, CFG scale: 3.5, Seed: 7" in result.parameters
    assert "Size: 256x256, Model: nano" in result.parameters


def test_prompts_are_followed_in_colour(nano: BackgroundGenerator, scene: Scene) -> None:
    """Trained weights: lavender is bluer than autumn leaves, a night darker than a studio."""
    colours = {
        prompt: np.asarray(nano.generate(scene, prompt, seed=1).background).reshape(-1, 3).mean(0)
        for prompt in ("lavender field", "autumn leaves", "starry night sky", "white studio backdrop")
    }
    assert colours["lavender field"][2] > colours["lavender field"][0]
    assert colours["autumn leaves"][0] > colours["autumn leaves"][2] + 40
    assert colours["starry night sky"].mean() + 60 < colours["white studio backdrop"].mean()


def test_nano_in_four_steps(tmp_path: Path) -> None:
    """The few-step LoRA takes the way that LCM-LoRA takes on SD1.5: fused by export, sampled by its preset."""
    from cyclorama.export import export_checkpoint

    folder = export_checkpoint("nano", tmp_path / "nano-fast", format="onnx", loras=[("nano-lcm", 1.0)])
    nano_fast = BackgroundGenerator.load(folder)
    scene = nano_fast.prepare(PHOTOS / "astronaut.jpg")
    results = {
        prompt: nano_fast.generate(scene, prompt, seed=1)
        for prompt in ("lavender field", "autumn leaves", "starry night sky", "white studio backdrop")
    }
    options = results["lavender field"].options
    assert (options.sampler, options.num_inference_steps, options.guidance_scale) == ("lcm", 4, 1.0)
    colours = {prompt: np.asarray(result.background).reshape(-1, 3).mean(0) for prompt, result in results.items()}
    assert colours["lavender field"][2] > colours["lavender field"][1] + 10
    assert colours["autumn leaves"][0] > colours["autumn leaves"][2] + 40
    assert colours["starry night sky"].mean() + 60 < colours["white studio backdrop"].mean()


def test_same_seed_same_bytes_and_other_seed_other_picture(nano: BackgroundGenerator, scene: Scene) -> None:
    first, again, other = (
        np.asarray(nano.generate(scene, "red brick wall", seed=seed, num_inference_steps=4).background)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_unseeded_run_reports_a_seed_that_repeats_it(nano: BackgroundGenerator, scene: Scene) -> None:
    results = [nano.generate(scene, "a garden", num_inference_steps=2) for _ in range(2)]
    assert results[0].seed != results[1].seed
    again = nano.generate(scene, "a garden", num_inference_steps=2, seed=results[0].seed)
    np.testing.assert_array_equal(np.asarray(again.background), np.asarray(results[0].background))


def test_ancestral_noise_comes_from_the_seed_too(nano: BackgroundGenerator, scene: Scene) -> None:
    options: dict[str, Any] = {"seed": 5, "num_inference_steps": 4, "sampler": "euler_ancestral"}
    first, again = (np.asarray(nano.generate(scene, "a garden", **options).background) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_steps_can_be_watched_and_left(nano: BackgroundGenerator, scene: Scene) -> None:
    steps = nano.steps(scene, "a garden", num_inference_steps=5, seed=0)
    step = next(steps)
    assert (step.index, step.total) == (0, 5)
    assert step.latents.shape == step.denoised.shape == (1, 4, 32, 32)
    assert step.preview().size == (256, 256)
    timesteps = [step.timestep, *(step.timestep for step in steps)]
    assert len(timesteps) == 5
    assert timesteps == sorted(timesteps, reverse=True)
    early = next(nano.steps(scene, "a garden", num_inference_steps=5, seed=0)).result()
    assert early.image.size == (512, 512)


def test_a_photo_is_encoded_once_for_many_prompts(
    nano: BackgroundGenerator, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(image: object) -> None:
        raise AssertionError("encoded again")

    nano.encode(scene)
    monkeypatch.setattr(nano.vae, "encode", never)
    for prompt in ("a garden", "a street"):
        nano.generate(scene, prompt, num_inference_steps=1)


def test_caller_may_bring_the_noise(nano: BackgroundGenerator, scene: Scene) -> None:
    latents = np.random.default_rng(7).standard_normal((1, 4, 32, 32), np.float32)
    given = nano.generate(scene, "a garden", num_inference_steps=2, seed=0, latents=latents)
    seeded = nano.generate(scene, "a garden", num_inference_steps=2, seed=7)
    np.testing.assert_array_equal(np.asarray(given.background), np.asarray(seeded.background))
    with pytest.raises(InvalidOptions, match=r"latents must have the shape \(1, 4, 32, 32\)"):
        nano.steps(scene, "a garden", latents=latents[:, :, :8])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "  "}, "the prompt is empty"),
        ({"prompt": "caf\udce9"}, "bytes that are no text"),
        ({"num_inference_steps": 0}, "num_inference_steps must be a whole number from 1 to 1000, got 0"),
        ({"num_inference_steps": 2.5}, "a whole number from 1 to 1000, got 2.5"),
        ({"guidance_scale": -1.0}, "guidance_scale must be 0 to 50"),
        ({"guidance_scale": float("nan")}, "guidance_scale must be 0 to 50"),
        ({"strength": 0.0}, "strength must be above 0"),
        ({"strength": 0.1, "num_inference_steps": 4}, "leaves no step to run"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"sampler": "ddpm"}, "sampler must be one of ddim, euler.*, got 'ddpm'"),
        ({"negative_prompt": "cars", "guidance_scale": 1.0}, "a negative prompt does nothing at guidance_scale 1"),
        ({"cache_interval": 0}, "cache_interval must be a whole number from 1 to 100, got 0"),
        ({"guidance_interval": (0.5, 0.5)}, "must rise within 0 to 1, got 0.5 to 0.5"),
        ({"guidance_interval": (0.2,)}, "must be two numbers"),
        ({"token_downsampling": True, "cache_interval": 2}, "goes without caching"),
    ],
)
def test_impossible_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptions, match=message):
        GenerationOptions(**{"prompt": "a beach", **options})  # type: ignore[arg-type]


def test_impossible_options_are_refused_before_the_first_step(nano: BackgroundGenerator, scene: Scene) -> None:
    with pytest.raises(InvalidOptions, match="preset must be one of fast, balanced, quality, got 'best'"):
        nano.steps(scene, "a beach", "best")  # type: ignore[arg-type]
    with pytest.raises(InvalidOptions, match="at most 50 steps, got 60"):
        nano.steps(scene, "a beach", sampler="lcm", num_inference_steps=60)
    with pytest.raises(InvalidOptions, match="timestep_spacing must be"):
        nano.steps(scene, "a beach", sampler="ddim", timestep_spacing="dense")  # type: ignore[arg-type]
    with pytest.raises(InvalidOptions, match="too few for 1000 steps"):
        nano.steps(scene, "a beach", sampler="dpmpp_2m", num_inference_steps=1000)
    with pytest.raises(InvalidOptions, match="cache_interval must be"):
        nano.steps(scene, "a beach", cache_interval=0)
    with pytest.raises(InvalidOptions, match="a mask was given, and a mask model"):
        nano.prepare(PHOTOS / "cat.jpg", mask=DATA / "cat-mask.png", mask_model="u2netp")
    with pytest.raises(InvalidOptions, match="size must be a whole number from 32"):
        nano.prepare(PHOTOS / "cat.jpg", size=0)
    with pytest.raises(BadImage, match="the mask is 451x300 but the photo is 512x512"):
        nano.prepare(PHOTOS / "astronaut.jpg", mask=DATA / "cat-mask.png")


def test_presets(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    folder = BackgroundGenerator.load("nano").folder
    assert resolve_options(folder, "a").num_inference_steps == 20
    with caplog.at_level(logging.WARNING, "cyclorama"):
        assert resolve_options(folder, "a", "fast").num_inference_steps == 10
    assert "not distilled" in caplog.text
    assert resolve_options(folder, "a", "balanced", num_inference_steps=3, guidance_scale=2.0).num_inference_steps == 3
    plain = resolve_options(folder, "a")
    assert plain.negative_prompt == ""  # of nano's own manifest, too
    assert (plain.cache_interval, plain.guidance_interval) == (1, (0, 1))  # of nano's own manifest
    from cyclorama.export import export_checkpoint
    from tests.checkpoints import make_checkpoint

    lcm = export_checkpoint(make_checkpoint(tmp_path / "c", unet="lcm"), tmp_path / "lcm", format="onnx")
    options = resolve_options(ModelFolder(lcm), "a", "fast")
    assert options.token_downsampling
    assert not resolve_options(ModelFolder(lcm), "a", "fast", cache_interval=2).token_downsampling
    assert (options.sampler, options.num_inference_steps, options.guidance_scale) == ("lcm", 4, 8.0)
    assert options.negative_prompt == ""
    with pytest.raises(InvalidOptions, match="takes no negative prompt"):
        resolve_options(ModelFolder(lcm), "a", negative_prompt="b")


def test_the_default_negative_prompt_can_be_changed_and_switched_off(tmp_path: Path) -> None:
    from cyclorama.export import export_checkpoint
    from tests.checkpoints import make_checkpoint

    folder = ModelFolder(export_checkpoint(make_checkpoint(tmp_path / "c"), tmp_path / "m", format="onnx"))
    assert resolve_options(folder, "a").negative_prompt == NEGATIVE_PROMPT
    assert resolve_options(folder, "a", negative_prompt="").negative_prompt == ""
    assert resolve_options(folder, "a", negative_prompt="cars").negative_prompt == "cars"
    assert resolve_options(folder, "a", guidance_scale=1.0).negative_prompt == ""  # where it would do nothing


def test_the_checkpoint_s_own_spacing_is_kept_where_the_preset_has_none(nano: BackgroundGenerator) -> None:
    assert resolve_options(nano.folder, "a", sampler="ddim").timestep_spacing == "trailing"


def test_any_shape_of_photo_works_with_a_mask(nano: BackgroundGenerator) -> None:
    for size in ((700, 30), (30, 700), (2000, 1), (37, 41)):
        rgb = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        mask = np.zeros(rgb.shape[:2], np.uint8)
        mask[:, : size[0] // 3 + 1] = 255
        result = nano.generate(nano.prepare(rgb, mask=mask), "a garden", num_inference_steps=1)
        assert result.image.size == size
        np.testing.assert_array_equal(np.asarray(result.image)[mask == 255], rgb[mask == 255])


def test_paint_tells_where_it_is_and_gives_what_generate_gives(nano: BackgroundGenerator, scene: Scene) -> None:
    options: dict[str, Any] = {"num_inference_steps": 2, "seed": 5}
    told = list(nano.paint(scene, "a beach", count=2, best_of=2, **options))
    assert [(p.picture, p.attempt, p.step.index) for p in told] == [
        (picture, attempt, step) for picture in range(2) for attempt in range(2) for step in range(2)
    ]
    assert {(p.pictures, p.attempts) for p in told} == {(2, 2)}
    results = [p.result for p in told if p.result is not None]
    assert [p.result is not None for p in told] == [False, False, False, True] * 2
    for number, result in enumerate(results):
        alone = nano.generate(scene, "a beach", best_of=2, **{**options, "seed": 5 + 2 * number})
        assert result is not None
        assert result.image.tobytes() == alone.image.tobytes()
    assert told[0].preview().size == told[0].step.preview().size
    good = list(nano.paint(scene, "a beach", best_of=3, good_enough=100.0, **options))
    assert len(good) == 2
    assert good[-1].result is not None
    with pytest.raises(InvalidOptions, match="leave out count and best_of"):
        nano.paint(scene, "a beach", count=2, latents=np.zeros((1, 4, 8, 8), np.float32))
    with pytest.raises(InvalidOptions, match=r"must be a threading\.Event"):
        nano.paint(scene, "a beach", cancelled=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["before", "while", "at the end"])
def test_cancelled_within_one_run_of_a_network(when: str, nano: BackgroundGenerator, scene: Scene) -> None:
    cancelled = threading.Event()
    runs: list[int] = []
    session = nano.unet.session
    run = session.run

    def counted(feeds: Any) -> Any:
        runs.append(1)
        if when == "while" and len(runs) == 3:
            cancelled.set()
        return run(feeds)

    def watch(painting: Iterator[Progress]) -> None:
        for progress in painting:
            if when == "at the end" and progress.step.index == 4:
                cancelled.set()

    session.run = counted  # type: ignore[method-assign]
    try:
        painting = nano.paint(scene, "a beach", num_inference_steps=6, seed=1, cancelled=cancelled)
        if when == "before":
            cancelled.set()
        with pytest.raises(Cancelled, match="was cancelled"):
            watch(painting)
        assert len(runs) == {"before": 0, "while": 3, "at the end": 5}[when]
    finally:
        session.run = run  # type: ignore[method-assign]
    assert nano.generate(scene, "a beach", num_inference_steps=1).image.size  # and the next one is painted
