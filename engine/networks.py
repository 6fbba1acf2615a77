"""The three networks of Stable Diffusion, each a thin wrapper around its session(s).

Shapes: B batch, C latent channels (4), H and W the working size in pixels, h and w the same in
latents, L tokens, D text width. All arrays are float32.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from engine.backends import Backend, Device, Session, Tensor, open_session
from engine.errors import BadModel
from engine.model_folder import ModelFolder
from engine.tokenizer import ClipTokenizer

Array = npt.NDArray[np.float32]


class TextEncoder:
    """Prompt to the embeddings that the UNet attends to; remembers the last prompts."""

    def __init__(self, folder: ModelFolder, backend: Backend, device: Device) -> None:
        self._tokenizer = ClipTokenizer(folder.path / "tokenizer")
        self._session = open_session(folder.component("text_encoder", backend), backend, device)
        # A session that was reshaped to a fixed sequence length wants exactly that many tokens.
        self._length = self._session.inputs["input_ids"].shape[1] or self._tokenizer.model_max_length
        self.encode = lru_cache(maxsize=32)(self._encode)

    def _encode(self, *prompts: str) -> Tensor:
        """Embeddings (B, L, D) of the prompts, left on the device."""
        input_ids = np.concatenate([self._tokenizer(prompt, self._length) for prompt in prompts])
        return self._session.run({"input_ids": input_ids})["last_hidden_state"]


class UNet:
    """Predicts the noise (or v) in latents. `session` is what runs it; export swaps in one that records."""

    def __init__(self, folder: ModelFolder, backend: Backend, device: Device) -> None:
        path = folder.component("unet", backend)
        self.session: Session = open_session(path, backend, device)
        wanted = {"sample", "timestep", "encoder_hidden_states"}
        if folder.time_cond_proj_dim is not None:
            wanted.add("timestep_cond")
        if self.session.inputs.keys() != wanted:
            raise BadModel(
                f"{path} takes {', '.join(self.session.inputs)}, but the pipeline has {', '.join(sorted(wanted))}; "
                "only Stable Diffusion 1.x and 2.x shapes can be run"
            )
        channels = self.session.inputs["sample"].shape[1]
        if channels not in (None, folder.unet_config["in_channels"]):
            raise BadModel(
                f"{path} takes {channels} channels, but the config beside it says {folder.unet_config['in_channels']}; "
                "export the model again"
            )
        self._timestep = self.session.inputs["timestep"]
        self._output = next(iter(self.session.outputs))

    def __call__(
        self, sample: Array, timestep: float, encoder_hidden_states: Tensor, timestep_cond: Array | None = None
    ) -> Array:
        """Shapes: sample (B, 4 or 9, h, w), encoder_hidden_states (B, L, D) -> (B, 4, h, w).

        A UNet exported with an integer timestep is told the nearest whole one.
        """
        is_integer = np.issubdtype(self._timestep.dtype, np.integer)
        feeds: dict[str, Tensor] = {
            "sample": sample,
            "timestep": np.full([1] * len(self._timestep.shape), round(timestep) if is_integer else timestep),
            "encoder_hidden_states": encoder_hidden_states,
        }
        if timestep_cond is not None:
            feeds["timestep_cond"] = timestep_cond
        return np.asarray(self.session.run(feeds)[self._output], np.float32)


class VAE:
    """Images to latents and back, in the checkpoint's own scaling. AutoencoderKL and AutoencoderTiny alike."""

    def __init__(self, folder: ModelFolder, backend: Backend, device: Device) -> None:
        self._encoder = open_session(folder.component("vae_encoder", backend), backend, device)
        self._decoder = open_session(folder.component("vae_decoder", backend), backend, device)
        self._channels = folder.latent_channels
        self._scaling_factor = folder.scaling_factor

    def encode(self, image: Array) -> Array:
        """(B, 3, H, W) in [-1, 1] -> (B, C, h, w): the mean of the latent distribution, scaled."""
        latents = _only_output(self._encoder, {"sample": image})
        if latents.shape[1] == 2 * self._channels:  # mean and log-variance
            latents = latents[:, : self._channels]
        elif latents.shape[1] != self._channels:
            raise BadModel(f"the VAE encoder gives {latents.shape[1]} channels, its config says {self._channels}")
        return latents * np.float32(self._scaling_factor)

    def decode(self, latents: Array) -> Array:
        """(B, C, h, w) -> (B, 3, H, W), clipped to [-1, 1]."""
        image = _only_output(self._decoder, {"latent_sample": latents / np.float32(self._scaling_factor)})
        return np.clip(image, -1, 1)


def _only_output(session: Session, feeds: dict[str, Tensor]) -> Array:
    return np.asarray(next(iter(session.run(feeds).values())), np.float32)


def guidance_scale_embedding(guidance_scale: float, width: int) -> Array:
    """What an LCM's UNet takes instead of a second forward, shape (1, width).

    Sinusoids of 1000 * (guidance_scale - 1), as in Kingma et al.'s VDM and diffusers'
    `get_guidance_scale_embedding`.
    """
    half = width // 2
    frequencies = np.exp(np.arange(half, dtype=np.float32) * -(np.log(10000.0) / (half - 1)))
    angles = np.float32(1000 * (guidance_scale - 1)) * frequencies
    embedding = np.concatenate([np.sin(angles), np.cos(angles), np.zeros(width % 2)])
    return embedding.astype(np.float32)[None]
