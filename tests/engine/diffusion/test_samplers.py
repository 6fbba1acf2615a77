"""Each sampler beside its diffusers scheduler, step by step, on a made-up UNet."""

from __future__ import annotations

import itertools
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from cyclorama.engine.diffusion.samplers import (
    TCD,
    Array,
    NoiseSchedule,
    Sampler,
    default_spacing,
    make_sampler,
    not_followed,
)
from cyclorama.engine.errors import BadModel, InvalidOptions
from cyclorama.engine.options import SAMPLERS

SHAPE = (1, 4, 8, 8)
STEPS = 20
SPACINGS = ("leading", "trailing", "linspace")
BETAS: dict[str, dict[str, Any]] = {
    "sd15": {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"},
    "ddpm": {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
STEP_OPTIONS: dict[str, Any] = {"tcd": {"eta": 0.3}}
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}


def fake_unet(x: Any, t: float) -> Any:
    """Bounded and smooth, with something of every input in it."""
    return x * (t / (t + 500.0)) * 0.5 + 0.1


def reference(name: str, config: dict[str, Any], spacing: str) -> Any:
    scheduler, extra = SCHEDULERS[name]
    made = getattr(diffusers, scheduler)(**config, **extra, timestep_spacing=spacing, steps_offset=1)
    made.set_timesteps(STEPS)
    return made


def walk(
    sampler: Sampler, scheduler: Any, monkeypatch: pytest.MonkeyPatch, begin: int = 0, **step_options: Any
) -> tuple[float, float]:
    """Runs both side by side from the same noise; the largest difference, and the largest value."""
    rng = np.random.default_rng(0)
    noises = [rng.standard_normal(SHAPE).astype(np.float32) for _ in range(STEPS + 1)]
    drawn: dict[str, int] = {"ours": 0, "theirs": 0}

    def ours() -> Array:
        drawn["ours"] += 1
        return noises[drawn["ours"]]

    def theirs(*_: Any, **__: Any) -> torch.Tensor:
        drawn["theirs"] += 1
        return torch.from_numpy(noises[drawn["theirs"]])

    monkeypatch.setattr(f"{type(scheduler).__module__}.randn_tensor", theirs, raising=False)
    np.testing.assert_allclose(sampler.timesteps, scheduler.timesteps.numpy(), atol=1e-3)
    if begin:
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(begin)
        start = rng.standard_normal(SHAPE).astype(np.float32)
        x = sampler.add_noise(start, noises[0], begin)
        y = scheduler.add_noise(
            torch.from_numpy(start), torch.from_numpy(noises[0]), scheduler.timesteps[begin : begin + 1]
        )
    else:
        np.testing.assert_allclose(sampler.init_noise_sigma, float(scheduler.init_noise_sigma), rtol=1e-6)
        x = noises[0] * np.float32(sampler.init_noise_sigma)
        y = torch.from_numpy(noises[0]) * scheduler.init_noise_sigma
    worst, largest = float(np.abs(x - y.numpy()).max()), float(np.abs(x).max())
    for i in range(begin, STEPS):
        t = scheduler.timesteps[i]
        x, denoised = sampler.step(fake_unet(sampler.scale_model_input(x, i), float(t)), i, x, ours)
        y = scheduler.step(fake_unet(scheduler.scale_model_input(y, t), float(t)), t, y, **step_options)[0]
        assert x.dtype == denoised.dtype == np.float32
        worst = max(worst, float(np.abs(x - y.numpy()).max()))
        largest = max(largest, float(np.abs(x).max()))
    assert drawn["ours"] == drawn["theirs"]
    return worst, largest


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(
    ("name", "betas"),
    # With cosine betas diffusers truncates the Karras timesteps that it rounds with all others.
    [pair for pair in itertools.product(SAMPLERS, BETAS) if pair != ("dpmpp_2m_karras", "cosine")],
)
def test_equals_diffusers(
    name: str, betas: str, prediction_type: str, spacing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**BETAS[betas], "prediction_type": prediction_type}
    schedule = NoiseSchedule.from_config({**config, "steps_offset": 1, "set_alpha_to_one": name != "ddim"})
    scheduler = reference(name, config, spacing)
    sampler = make_sampler(name, schedule, STEPS, spacing)
    worst, largest = walk(sampler, scheduler, monkeypatch, **STEP_OPTIONS.get(name, {}))
    # The cosine schedule ends at a sigma of 20,000, where float32's own steps are 2e-3 wide.
    assert worst <= max(1e-4, largest * 2**-20)


@pytest.mark.parametrize("name", SAMPLERS)
def test_from_the_middle_equals_diffusers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with strength 0.6."""
    schedule = NoiseSchedule(steps_offset=1, set_alpha_to_one=name != "ddim")
    sampler = make_sampler(name, schedule, STEPS, "leading")
    worst, _ = walk(
        sampler,
        reference(name, BETAS["sd15"], "leading"),
        monkeypatch,
        begin=8,
        **STEP_OPTIONS.get(name, {}),
    )
    assert worst <= 1e-4


def test_deterministic_tcd_equals_diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = TCD(NoiseSchedule(), STEPS, eta=0.0)
    worst, _ = walk(sampler, reference("tcd", BETAS["sd15"], "leading"), monkeypatch, eta=0.0)
    assert worst <= 1e-4


def test_trained_betas_and_zero_terminal_snr_equal_diffusers() -> None:
    betas = np.linspace(0.001, 0.01, 1000).astype(np.float32)
    theirs = diffusers.DDIMScheduler(trained_betas=betas.tolist()).alphas_cumprod.numpy()
    ours = NoiseSchedule.from_config({"trained_betas": betas.tolist()}).alphas_cumprod
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    theirs = diffusers.EulerDiscreteScheduler(**BETAS["sd15"], rescale_betas_zero_snr=True).alphas_cumprod.numpy()
    ours = NoiseSchedule(rescale_betas_zero_snr=True).alphas_cumprod
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_clipping_equals_diffusers(prediction_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {**BETAS["sd15"], "prediction_type": prediction_type, "clip_sample": True, "clip_sample_range": 0.7}
    scheduler = diffusers.DDIMScheduler(**config, set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(STEPS)
    schedule = NoiseSchedule.from_config({**config, "set_alpha_to_one": False, "steps_offset": 1})
    worst, _ = walk(make_sampler("ddim", schedule, STEPS, "leading"), scheduler, monkeypatch)
    assert worst <= 1e-4


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_default_spacing_is_that_of_diffusers(name: str) -> None:
    scheduler, extra = SCHEDULERS[name]
    assert default_spacing(name) == getattr(diffusers, scheduler)(**extra).config.timestep_spacing


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_is_not_followed_is_all_that_diffusers_has_beside(name: str) -> None:
    """Every key of diffusers' scheduler is honoured, or named where it is set, or changes nothing."""
    scheduler, extra = SCHEDULERS[name]
    theirs = dict(getattr(diffusers, scheduler)(**extra).config)
    honoured = set(NoiseSchedule.__dataclass_fields__) | {"timestep_spacing"}
    of_the_name = {"use_karras_sigmas"} if name.startswith("dpmpp") else set()
    # Of thresholding, which is refused; and what a step count below 15 or a final sigma of zero decide alike.
    idle = {"dynamic_thresholding_ratio", "sample_max_value", "lower_order_final", "euler_at_final", "flow_shift",
            "use_dynamic_shifting", "time_shift_type"}  # fmt: skip
    named = {key for key in theirs if not_followed(name, {**theirs, key: object()})}
    left = {key for key in theirs if not key.startswith("_")} - honoured - of_the_name - idle - named
    assert left == set()
    assert not_followed(name, theirs) == {}


def test_refuses_what_it_does_not_know() -> None:
    with pytest.raises(BadModel, match="thresholding"):
        NoiseSchedule.from_config({"thresholding": True})
    with pytest.raises(InvalidOptions, match="unknown sampler 'heun'"):
        make_sampler("heun", NoiseSchedule(), 10)
    with pytest.raises(InvalidOptions, match="timestep_spacing"):
        make_sampler("ddim", NoiseSchedule(), 10, "random")
    with pytest.raises(InvalidOptions, match="at most 50 steps"):
        make_sampler("lcm", NoiseSchedule(), 51)
    with pytest.raises(BadModel, match="prediction_type"):
        NoiseSchedule(prediction_type="flow")
    with pytest.raises(BadModel, match="beta_schedule"):
        _ = NoiseSchedule(beta_schedule="quadratic").alphas_cumprod
