"""The three networks of Stable Diffusion, each a thin wrapper around its session(s).

Shapes: B batch, C latent channels (4), H and W the working size in pixels, h and w the same in
latents, L tokens, D text width. All arrays are float32. All may be shared between threads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock, RLock

import numpy as np

from cyclorama.engine.arrays import Array
from cyclorama.engine.backends import DEEP_FEATURES, Part, Session, Tensor, open_session
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.diffusion.tokenizer import ClipTokenizer
from cyclorama.engine.errors import BadModel
from cyclorama.engine.options import Backend, Device

_PROMPTS_KEPT = 32  # embeddings of prompts; SD1.5's take 240 KB each

_WORDS_NAMED = 5  # of those that a model does not know


class TextEncoder:
    """Prompt to the embeddings that the UNet attends to; remembers the last prompts."""

    def __init__(self, folder: ModelFolder, backend: Backend, device: Device, threads: int | None, exact: bool) -> None:
        self._folder = folder
        self._tokenizer = ClipTokenizer(folder.path / "tokenizer")
        self._session = open_session(folder.component("text_encoder", backend), backend, device, threads, exact=exact)
        # A session that was reshaped to a fixed sequence length wants exactly that many tokens.
        self._length = self._session.inputs["input_ids"].shape[1] or self._tokenizer.model_max_length
        # At once, for an OpenVINO that cannot compile is best known while another backend may still be chosen.
        self._session.compile({"input_ids": (1, self._length)})
        self._is_one_by_one = backend == "openvino"  # which compiles for one batch size
        self._known: OrderedDict[tuple[str, ...], Tensor] = OrderedDict()
        self._lock = RLock()

    def encode(self, *prompts: str) -> Tensor:
        """Embeddings (B, L, D) of the prompts, left on the device; not to be written to, for they are kept."""
        with self._lock:
            if prompts not in self._known:
                self._known[prompts] = self._encode(*prompts)
                if len(self._known) > _PROMPTS_KEPT:
                    self._known.popitem(last=False)
            self._known.move_to_end(prompts)
            return self._known[prompts]

    def _encode(self, *prompts: str) -> Tensor:
        if self._is_one_by_one and len(prompts) > 1:
            return np.concatenate([np.asarray(self.encode(prompt)) for prompt in prompts])
        input_ids = np.concatenate([self._tokenizer(prompt, self._length) for prompt in prompts])
        return self._session.run({"input_ids": input_ids})["last_hidden_state"]

    def remarks(self, prompt: str) -> list[str]:
        """What a person should hear about a prompt: what of it is lost, and which words the model does not know."""
        remarks = [self._tokenizer.lost(prompt, self._length), self._unknown_words(prompt)]
        return [remark for remark in remarks if remark]

    def _unknown_words(self, prompt: str) -> str | None:
        """In a sentence, of models whose manifest says that they know words as wholes only, as nano does."""
        words = self._folder.manifest.get("words")
        if not words or not words.get("known_as_a_whole"):
            return None
        name, paints = self._folder.name, self._folder.manifest.get("paints")
        names_a_scene = any(word in words["of_scenes"] for word in self._tokenizer.words(prompt))
        unknown = self._tokenizer.broken_words(prompt)
        if not unknown and names_a_scene:
            return None
        what = f"no word of the prompt names a place that {name} was trained on"
        if unknown:
            more = f" and {len(unknown) - _WORDS_NAMED} more" if len(unknown) > _WORDS_NAMED else ""
            what = f"{name} does not know {', '.join(unknown[:_WORDS_NAMED])}{more}"
        return f"{what}; it paints {paints}" if paints and not names_a_scene else what


class UNet:
    """Predicts the noise (or v) in latents. `session` is what runs it; export swaps in one that records."""

    def __init__(self, folder: ModelFolder, backend: Backend, device: Device, threads: int | None, exact: bool) -> None:
        self._open = partial(open_session, folder.component("unet", backend), backend, device, threads, exact=exact)
        # ONNX Runtime's graph is left whole, and takes both halves of guidance at once.
        self._is_cut = backend == "openvino"
        self.session: Session = self._open(part="full") if self._is_cut else self._open()
        self._check(folder, folder.component("unet", backend))
        self._timestep = self.session.inputs["timestep"]
        self._output, *_ = self.session.outputs
        self._parts: dict[Part, Session] = {}  # beside `session`, opened when they are first wanted
        self._lock = Lock()

    def part(self, part: Part) -> Session:
        """The network's session for a part of it; `full` is `session`."""
        if part == "full":
            return self.session
        with self._lock:
            if part not in self._parts:
                self._parts[part] = self._open(part=part)
            return self._parts[part]

    def _check(self, folder: ModelFolder, path: Path) -> None:
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

    def compile(
        self, sample: tuple[int, ...], encoder_hidden_states: tuple[int, ...], token_downsampling: bool = False
    ) -> object:
        """Makes ready for inputs of these shapes, which takes seconds with a large network on OpenVINO.

        What is returned keeps them ready for as long as it is held; see `Session.compile`.
        """
        if not self._is_cut:
            return None
        shapes = {name: tuple(size or 1 for size in spec.shape) for name, spec in self.session.inputs.items()}
        shapes["sample"], shapes["encoder_hidden_states"] = (1, *sample[1:]), (1, *encoder_hidden_states[1:])
        # Of SD1.5's, two would take more than two gigabytes.
        if token_downsampling:
            self.session.drop()
            return self.part("downsampled").compile(shapes)
        if "downsampled" in self._parts:
            self.part("downsampled").drop()
        return self.session.compile(shapes)

    def __call__(
        self,
        sample: Array,
        timestep: float,
        encoder_hidden_states: Tensor,
        timestep_cond: Array | None = None,
        deep_features: Sequence[Tensor] = (),
        token_downsampling: bool = False,
        before_run: Callable[[], None] = lambda: None,
    ) -> tuple[Array, Sequence[Tensor]]:
        """Shapes: sample (B, 4 or 9, h, w), encoder_hidden_states (B, L, D) -> (B, 4, h, w), and B deep features.

        deep_features: those of an earlier step, one for each of the batch; given, all that lies below them is left out
        and they come back as they are (`engine.backends.deepcache`).  token_downsampling: cheaper self-attention
        (`engine.backends.downsampling`); then there are no deep features. ONNX Runtime has neither.  before_run: called
        before each run of the network, and may raise.
        A UNet exported with an integer timestep gets the nearest whole one.
        """
        is_integer = np.issubdtype(self._timestep.dtype, np.integer)
        shared: dict[str, Tensor] = {
            "timestep": np.full([1] * len(self._timestep.shape), round(timestep) if is_integer else timestep)
        }
        if timestep_cond is not None:
            shared["timestep_cond"] = timestep_cond
        if not self._is_cut:
            feeds = {"sample": sample, "encoder_hidden_states": encoder_hidden_states, **shared}
            before_run()
            return np.asarray(self.session.run(feeds)[self._output], np.float32), ()
        # One at a time is as fast as two at once (CONTRIBUTING.md), and one compiled graph serves with and without.
        texts, outputs, deep = np.asarray(encoder_hidden_states), [], list(deep_features)
        session = self.part("downsampled" if token_downsampling else "shallow" if deep_features else "full")
        for b in range(len(sample)):
            feeds = {"sample": sample[b : b + 1], "encoder_hidden_states": texts[b : b + 1], **shared}
            if deep_features:
                feeds[DEEP_FEATURES] = deep[b]
            before_run()
            results = session.run({name: feeds[name] for name in session.inputs})
            outputs.append(np.asarray(results[self._output], np.float32))
            if session is self.session:
                deep.append(results[DEEP_FEATURES])
        return np.concatenate(outputs), deep


class VAE:
    """Images to latents and back, in the checkpoint's own scaling. AutoencoderKL and AutoencoderTiny alike.

    `encoder` and `decoder` are what runs it; export swaps in ones that record.
    """

    def __init__(self, folder: ModelFolder, backend: Backend, device: Device, threads: int | None, exact: bool) -> None:
        self.encoder: Session = open_session(
            folder.component("vae_encoder", backend), backend, device, threads, exact=exact
        )
        self.decoder: Session = open_session(
            folder.component("vae_decoder", backend), backend, device, threads, exact=exact
        )
        self._channels = folder.latent_channels
        self._scaling_factor = folder.scaling_factor

    def encode(self, image: Array) -> Array:
        """(B, 3, H, W) in [-1, 1] -> (B, C, h, w): the mean of the latent distribution, scaled."""
        # With SD1.5's 200 and 400 MB. A new photo begins here; its prompts will want the decoder's, not the encoder's.
        self.decoder.release()
        latents = _only_output(self.encoder, {"sample": image})
        self.encoder.release()
        if latents.shape[1] == 2 * self._channels:  # mean and log-variance
            latents = latents[:, : self._channels]
        elif latents.shape[1] != self._channels:
            raise BadModel(f"the VAE encoder gives {latents.shape[1]} channels, its config says {self._channels}")
        return latents * np.float32(self._scaling_factor)

    def decode(self, latents: Array) -> Array:
        """(B, C, h, w) -> (B, 3, H, W), clipped to [-1, 1]."""
        image = _only_output(self.decoder, {"latent_sample": latents / np.float32(self._scaling_factor)})
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
