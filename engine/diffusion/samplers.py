"""Samplers in NumPy: each walks the latents from noise to image, one UNet output at a time.

All share one shape: `timesteps[i]` is what the UNet gets at step `i`, `scale_model_input` what
it is shown, `step` what its output turns the latents into, together with the sampler's current
estimate of the clean latents. `init_noise_sigma` scales the initial unit noise; `add_noise` puts
clean latents onto the noise level of step `i`. Arrays are float32 and of any shape.

Names and numerics follow diffusers' schedulers, which the tests hold them against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cyclorama.engine.errors import BadModel, InvalidOptions
from cyclorama.engine.options import SAMPLERS

Array = npt.NDArray[Any]  # float32, whose quotients NumPy's type stubs take for float64
NoiseSource = Callable[[], Array]  # fresh unit Gaussian noise of the latents' shape


@dataclass(frozen=True)
class NoiseSchedule:
    """The diffusion process that a UNet was trained on, from a `scheduler_config.json`."""

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    trained_betas: tuple[float, ...] | None = None
    rescale_betas_zero_snr: bool = False
    prediction_type: str = "epsilon"
    steps_offset: int = 0
    set_alpha_to_one: bool = True
    original_inference_steps: int = 50
    timestep_scaling: float = 10.0
    clip_sample: bool = False
    clip_sample_range: float = 1.0
    thresholding: bool = False

    def __post_init__(self) -> None:
        if self.thresholding:
            raise BadModel("scheduler_config.json asks for thresholding, which is for pixels and not run on latents")
        if self.prediction_type not in ("epsilon", "v_prediction", "sample"):
            raise BadModel(
                f"scheduler_config.json asks for prediction_type {self.prediction_type!r}; "
                "only epsilon, v_prediction and sample can be run"
            )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> NoiseSchedule:
        """Takes the keys it knows from a diffusers scheduler config; the rest is not its business."""
        known = {key: value for key, value in config.items() if key in cls.__dataclass_fields__}
        if known.get("trained_betas") is not None:
            known["trained_betas"] = tuple(known["trained_betas"])
        return cls(**known)

    @cached_property
    def alphas_cumprod(self) -> npt.NDArray[np.float64]:
        """Signal's share of the variance at each training timestep (ᾱ_t), shape (num_train_timesteps,)."""
        n = self.num_train_timesteps
        if self.trained_betas is not None:
            betas = np.asarray(self.trained_betas, np.float64)
        elif self.beta_schedule == "linear":
            betas = np.linspace(self.beta_start, self.beta_end, n)
        elif self.beta_schedule == "scaled_linear":
            betas = np.linspace(self.beta_start**0.5, self.beta_end**0.5, n) ** 2
        elif self.beta_schedule == "squaredcos_cap_v2":  # Nichol & Dhariwal (2021), eq. 17
            t = np.arange(n + 1) / n
            bar = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
            betas = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
        else:
            raise BadModel(f"scheduler_config.json names an unknown beta_schedule {self.beta_schedule!r}")
        # Rounded where torch rounds, lest the largest sigmas differ from diffusers' in the fifth digit.
        alphas = 1 - betas.astype(np.float32)
        alphas_cumprod = np.cumprod(alphas, dtype=np.float64).astype(np.float32)
        if self.rescale_betas_zero_snr:  # Lin et al. (2024), algorithm 1
            root = np.sqrt(alphas_cumprod)
            root = (root - root[-1]) * root[0] / (root[0] - root[-1])
            alphas_cumprod = np.square(root)
            alphas_cumprod[-1] = 2.0**-24  # zero would make the first sigma infinite
        return alphas_cumprod.astype(np.float64)

    @cached_property
    def sigmas(self) -> npt.NDArray[np.float64]:
        """Noise over signal at each training timestep, rising, shape (num_train_timesteps,)."""
        result: npt.NDArray[np.float64] = np.sqrt((1 - self.alphas_cumprod) / self.alphas_cumprod)
        return result

    def spaced_timesteps(self, num_inference_steps: int, spacing: str, last_is_dropped: bool = False) -> Array:
        """Training timesteps to visit, falling; table 2 of Lin et al. (2024).

        `last_is_dropped`: spread one step more and leave out the last, as DPM-Solver does for
        leading and linspace.
        """
        n, extra = self.num_train_timesteps, int(last_is_dropped)
        count = num_inference_steps + extra
        if count > n:
            raise InvalidOptions(f"the model knows {n} timesteps, too few for {num_inference_steps} steps; use fewer")
        if spacing == "linspace":
            timesteps: npt.NDArray[Any] = np.linspace(0, n - 1, count)[::-1][:num_inference_steps]
        elif spacing == "leading":
            timesteps = (np.arange(count) * (n // count))[::-1][:num_inference_steps] + self.steps_offset
        elif spacing == "trailing":
            timesteps = np.round(np.arange(n, 0, -n / num_inference_steps)) - 1
        else:
            raise InvalidOptions(f"timestep_spacing must be leading, trailing or linspace, got {spacing!r}")
        clipped: Array = np.minimum(timesteps, n - 1).astype(np.float32)
        return clipped

    def karras_sigmas(self, sigma_max: float, sigma_min: float, num_inference_steps: int) -> npt.NDArray[np.float64]:
        """Falling noise levels of Karras et al. (2022), eq. 5, rho = 7."""
        ramp = np.linspace(0, 1, num_inference_steps)
        high, low = sigma_max ** (1 / 7), sigma_min ** (1 / 7)
        levels: npt.NDArray[np.float64] = (high + ramp * (low - high)) ** 7
        return levels

    def timestep_of(self, sigmas: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The (fractional) training timestep whose noise level is `sigma`, interpolated in log."""
        timesteps: npt.NDArray[np.float64] = np.interp(
            np.log(sigmas), np.log(self.sigmas), np.arange(len(self.sigmas), dtype=np.float64)
        )
        return timesteps

    def predict_x0(self, model_output: Array, x: Array, alpha: np.float32, sigma: np.float32) -> Array:
        """Clean latents from the UNet's output, where x = alpha * x_0 + sigma * eps."""
        if self.prediction_type == "epsilon":
            return (x - sigma * model_output) / alpha
        if self.prediction_type == "v_prediction":
            return alpha * x - sigma * model_output
        return model_output


class Sampler(Protocol):
    """What the denoising loop needs of a sampler; see the module's docstring."""

    timesteps: Array
    init_noise_sigma: float

    def scale_model_input(self, x: Array, i: int) -> Array: ...

    def step(self, model_output: Array, i: int, x: Array, noise: NoiseSource) -> tuple[Array, Array]: ...

    def add_noise(self, x_0: Array, noise: Array, i: int) -> Array: ...


class _VariancePreserving:
    """Latents are kept as alpha * x_0 + sigma * eps with alpha² + sigma² = 1; the UNet sees them as they are."""

    init_noise_sigma = 1.0

    def __init__(self, schedule: NoiseSchedule, timesteps: Array) -> None:
        self.schedule = schedule
        self.timesteps = timesteps
        self._t = timesteps.astype(np.int64)
        final_alpha = 1.0 if schedule.set_alpha_to_one else float(schedule.alphas_cumprod[0])
        self._final = _rotation(final_alpha)

    def _levels(self, t: int) -> tuple[np.float32, np.float32]:
        return _rotation(float(self.schedule.alphas_cumprod[t])) if t >= 0 else self._final

    def scale_model_input(self, x: Array, i: int) -> Array:
        return x

    def add_noise(self, x_0: Array, noise: Array, i: int) -> Array:
        alpha, sigma = self._levels(int(self._t[i]))
        return alpha * x_0 + sigma * noise


def _rotation(alpha_cumprod: float) -> tuple[np.float32, np.float32]:
    """Shares of signal and noise, alpha and sigma."""
    return np.float32(math.sqrt(alpha_cumprod)), np.float32(math.sqrt(1 - alpha_cumprod))


class DDIM(_VariancePreserving):
    """Song et al. (2021), eq. 12, deterministic (eta = 0)."""

    def __init__(self, schedule: NoiseSchedule, num_inference_steps: int, timestep_spacing: str) -> None:
        timesteps = np.round(schedule.spaced_timesteps(num_inference_steps, timestep_spacing))
        super().__init__(schedule, timesteps)
        self._stride = schedule.num_train_timesteps // num_inference_steps

    def step(self, model_output: Array, i: int, x: Array, noise: NoiseSource) -> tuple[Array, Array]:
        t = int(self._t[i])
        alpha, sigma = self._levels(t)
        alpha_prev, sigma_prev = self._levels(t - self._stride)
        x_0 = self.schedule.predict_x0(model_output, x, alpha, sigma)
        eps = (x - alpha * x_0) / sigma
        if self.schedule.clip_sample:
            x_0 = np.clip(x_0, -self.schedule.clip_sample_range, self.schedule.clip_sample_range)
        return alpha_prev * x_0 + sigma_prev * eps, x_0


class DPMSolverPP2M(_VariancePreserving):
    """DPM-Solver++(2M), Lu et al. (2022), algorithm 2, on the schedule's or Karras's noise levels."""

    def __init__(
        self, schedule: NoiseSchedule, num_inference_steps: int, timestep_spacing: str, use_karras_sigmas: bool = False
    ) -> None:
        if use_karras_sigmas:
            sigmas = schedule.karras_sigmas(schedule.sigmas[-1], schedule.sigmas[0], num_inference_steps)
            timesteps: Array = np.round(schedule.timestep_of(sigmas)).astype(np.float32)
        else:
            timesteps = np.round(schedule.spaced_timesteps(num_inference_steps, timestep_spacing, last_is_dropped=True))
            sigmas = schedule.sigmas[timesteps.astype(np.int64)]
        super().__init__(schedule, timesteps)
        self._sigmas = np.append(sigmas, 0.0)
        self._previous: tuple[int, Array] | None = None

    def _levels_at(self, i: int) -> tuple[np.float32, np.float32]:
        return _rotation(1 / (1 + float(self._sigmas[i]) ** 2))

    def add_noise(self, x_0: Array, noise: Array, i: int) -> Array:
        alpha, sigma = self._levels_at(i)
        return alpha * x_0 + sigma * noise

    def step(self, model_output: Array, i: int, x: Array, noise: NoiseSource) -> tuple[Array, Array]:
        alpha_s, sigma_s = self._levels_at(i)
        alpha_t, sigma_t = self._levels_at(i + 1)
        x_0 = self.schedule.predict_x0(model_output, x, alpha_s, sigma_s)
        previous, self._previous = self._previous, (i, x_0)
        if sigma_t == 0:
            return x_0, x_0
        h = np.log(self._sigmas[i] / self._sigmas[i + 1])
        direction: Array = x_0
        if previous is not None and previous[0] == i - 1:
            r = np.log(self._sigmas[i - 1] / self._sigmas[i]) / h
            direction = x_0 + (x_0 - previous[1]) * np.float32(0.5 / r)
        x_t: Array = sigma_t / sigma_s * x - alpha_t * np.float32(np.expm1(-h)) * direction
        return x_t, x_0


class LCM(_VariancePreserving):
    """Multistep consistency sampling, Luo et al. (2023), algorithm 3."""

    def __init__(self, schedule: NoiseSchedule, num_inference_steps: int) -> None:
        super().__init__(schedule, _distilled_timesteps(schedule, num_inference_steps))

    def step(self, model_output: Array, i: int, x: Array, noise: NoiseSource) -> tuple[Array, Array]:
        alpha, sigma = self._levels(int(self._t[i]))
        x_0 = self.schedule.predict_x0(model_output, x, alpha, sigma)
        scaled = float(self._t[i]) * self.schedule.timestep_scaling
        c_skip = np.float32(0.25 / (scaled**2 + 0.25))  # sigma_data = 0.5
        c_out = np.float32(scaled / math.sqrt(scaled**2 + 0.25))
        denoised = c_out * x_0 + c_skip * x
        if i + 1 == len(self._t):
            return denoised, denoised
        return self.add_noise(denoised, noise(), i + 1), denoised


class TCD(_VariancePreserving):
    """Trajectory consistency distillation's strategic stochastic sampling, Zheng et al. (2024), algorithm 4.

    `eta` (the paper's gamma, 0 to 1) is the share of each step that is noised anew.
    """

    def __init__(self, schedule: NoiseSchedule, num_inference_steps: int, eta: float = 0.3) -> None:
        super().__init__(schedule, _distilled_timesteps(schedule, num_inference_steps))
        self._eta = eta

    def step(self, model_output: Array, i: int, x: Array, noise: NoiseSource) -> tuple[Array, Array]:
        alpha, sigma = self._levels(int(self._t[i]))
        x_0 = self.schedule.predict_x0(model_output, x, alpha, sigma)
        eps = (x - alpha * x_0) / sigma
        last = i + 1 == len(self._t)
        t_prev = 0 if last else int(self._t[i + 1])
        alpha_s, sigma_s = self._levels(int((1 - self._eta) * t_prev))
        x_s = alpha_s * x_0 + sigma_s * eps
        if last or self._eta == 0:
            return x_s, x_0
        alpha_prev, _ = self._levels(t_prev)
        ratio = alpha_prev / alpha_s
        return ratio * x_s + np.sqrt(1 - ratio**2) * noise(), x_0


def _distilled_timesteps(schedule: NoiseSchedule, num_inference_steps: int) -> Array:
    """A subset of the timesteps that consistency distillation saw (one in 20 of 1000)."""
    original = schedule.original_inference_steps
    if num_inference_steps > original:
        raise InvalidOptions(f"this sampler takes at most {original} steps, got {num_inference_steps}")
    stride = schedule.num_train_timesteps // original
    distilled = (np.arange(1, original + 1, dtype=np.float32) * stride - 1)[::-1]
    chosen: Array = distilled[np.floor(np.linspace(0, original, num_inference_steps, endpoint=False)).astype(int)]
    return chosen


class Euler:
    """Karras et al. (2022), algorithm 2 without churn; latents are kept as x_0 + sigma * eps."""

    def __init__(self, schedule: NoiseSchedule, num_inference_steps: int, timestep_spacing: str) -> None:
        self.schedule = schedule
        timesteps = schedule.spaced_timesteps(num_inference_steps, timestep_spacing)
        sigmas = np.interp(timesteps, np.arange(len(schedule.sigmas)), schedule.sigmas)
        self.timesteps = timesteps
        self._sigmas = np.append(sigmas, 0.0).astype(np.float32)
        largest = float(self._sigmas[0])
        at_the_top = timestep_spacing in ("linspace", "trailing")
        self.init_noise_sigma = largest if at_the_top else (largest**2 + 1) ** 0.5

    def scale_model_input(self, x: Array, i: int) -> Array:
        scaled: Array = x / np.sqrt(self._sigmas[i] ** 2 + 1)
        return scaled

    def add_noise(self, x_0: Array, noise: Array, i: int) -> Array:
        noisy: Array = x_0 + self._sigmas[i] * noise
        return noisy

    def _predict_x0(self, model_output: Array, i: int, x: Array) -> Array:
        alpha = 1 / np.sqrt(self._sigmas[i] ** 2 + 1)
        return self.schedule.predict_x0(model_output, alpha * x, alpha, alpha * self._sigmas[i])

    def step(self, model_output: Array, i: int, x: Array, noise: NoiseSource) -> tuple[Array, Array]:
        x_0 = self._predict_x0(model_output, i, x)
        sigma, sigma_next = self._sigmas[i], self._sigmas[i + 1]
        return x + (x - x_0) * ((sigma_next - sigma) / sigma), x_0


class EulerAncestral(Euler):
    """Euler steps that go past the next noise level and come back with fresh noise (k-diffusion)."""

    def step(self, model_output: Array, i: int, x: Array, noise: NoiseSource) -> tuple[Array, Array]:
        x_0 = self._predict_x0(model_output, i, x)
        sigma, sigma_next = self._sigmas[i], self._sigmas[i + 1]
        sigma_up = np.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2)
        sigma_down = np.sqrt(sigma_next**2 - sigma_up**2)
        return x + (x - x_0) * ((sigma_down - sigma) / sigma) + sigma_up * noise(), x_0


# What diffusers takes where a scheduler's config says nothing.
_DEFAULT_SPACING = {"ddim": "leading", "lcm": "leading", "tcd": "leading"}
_OF_EULER: dict[str, Any] = {
    "interpolation_type": "linear", "use_karras_sigmas": False, "use_exponential_sigmas": False,
    "use_beta_sigmas": False, "sigma_min": None, "sigma_max": None, "timestep_type": "discrete",
    "final_sigmas_type": "zero",
}  # fmt: skip
_OF_DPM: dict[str, Any] = {
    "solver_order": 2, "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "use_exponential_sigmas": False,
    "use_beta_sigmas": False, "use_lu_lambdas": False, "use_flow_sigmas": False, "final_sigmas_type": "zero",
    "lambda_min_clipped": -math.inf, "variance_type": None,
}  # fmt: skip
# Of a scheduler's config, what a sampler computes; other values are not followed.
_FOLLOWED = {"euler": _OF_EULER, "euler_ancestral": {}, "dpmpp_2m": _OF_DPM, "dpmpp_2m_karras": _OF_DPM}


def default_spacing(name: str) -> str:
    """The `timestep_spacing` that diffusers gives a sampler where the scheduler's config has none."""
    return _DEFAULT_SPACING.get(name, "linspace")


def not_followed(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a scheduler's config sets that would change the picture in diffusers, and does not here."""
    return {key: config[key] for key, value in _FOLLOWED.get(name, {}).items() if config.get(key, value) != value}


def make_sampler(
    name: str, schedule: NoiseSchedule, num_inference_steps: int, timestep_spacing: str = "leading"
) -> Sampler:
    """A fresh sampler by one of the names in `engine.options.SAMPLERS`, for one image."""
    if name == "ddim":
        return DDIM(schedule, num_inference_steps, timestep_spacing)
    if name == "euler":
        return Euler(schedule, num_inference_steps, timestep_spacing)
    if name == "euler_ancestral":
        return EulerAncestral(schedule, num_inference_steps, timestep_spacing)
    if name in ("dpmpp_2m", "dpmpp_2m_karras"):
        return DPMSolverPP2M(schedule, num_inference_steps, timestep_spacing, name.endswith("karras"))
    if name == "lcm":
        return LCM(schedule, num_inference_steps)
    if name == "tcd":
        return TCD(schedule, num_inference_steps)
    raise InvalidOptions(f"unknown sampler {name!r}; choose one of {', '.join(SAMPLERS)}")
