"""The model folder: where the components lie and what their configs say.

The layout is the one that diffusers, optimum and openvino-genai share, so a folder from any of
them runs here. Everything the pipeline must know is read from the configs.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from cyclorama.engine.backends import ONNX_FILE, OPENVINO_FILE
from cyclorama.engine.diffusion.samplers import NoiseSchedule
from cyclorama.engine.errors import BadModel
from cyclorama.engine.options import Backend
from cyclorama.models.weights import choose_weights, lfs_pointers, other_family, why_no_weights

COMPONENTS = ("text_encoder", "unet", "vae_encoder", "vae_decoder")
Distillation = Literal["lcm", "tcd"]
_SAMPLE = 1 << 20  # bytes


@dataclass(frozen=True)
class ModelFolder:
    """An exported checkpoint on disk.

    Raises BadModel, naming the file, when one is missing or cannot be read.
    """

    path: Path

    def __post_init__(self) -> None:
        if not (self.path / "model_index.json").is_file():
            hint = ""
            if (self.path / "onnx" / "model_index.json").is_file():
                hint = f"; did you mean {self.path / 'onnx'}?"
            raise BadModel(f"{self.path} is no model folder: it has no model_index.json{hint}")
        family = other_family(self._config("model_index.json"))
        if family:
            raise BadModel(f"{self.path} is {family}; only Stable Diffusion 1.x and 2.x can be run")
        for component in COMPONENTS:
            if not self._has(component, OPENVINO_FILE) and not self._has(component, ONNX_FILE):
                if choose_weights(path.name for path in (self.path / "unet").glob("*")):
                    raise BadModel(
                        f"{self.path} is a diffusers checkpoint and must be exported first: "
                        f"cyclorama export {self.path} OUT_DIR"
                    )
                raise BadModel(
                    f"{self.path / component} has neither {OPENVINO_FILE} nor {ONNX_FILE}; fetch or export it again"
                )
        for pointer in lfs_pointers(self.path):
            raise BadModel(f"{pointer} {why_no_weights(pointer)}")
        if self.latent_channels != 4:
            raise BadModel(
                f"the VAE in {self.path} has {self.latent_channels} latent channels; only those of 4, as Stable "
                "Diffusion 1.x and 2.x have, can be run"
            )
        if self.unet_config["in_channels"] not in (4, 9):
            raise BadModel(
                f"the UNet in {self.path} takes {self.unet_config['in_channels']} channels; only inpainting UNets (9) "
                "and text-to-image UNets (4) can be run"
            )

    def _has(self, component: str, file: str) -> bool:
        return (self.path / component / file).is_file()

    @property
    def has_ir(self) -> bool:
        """All components are there as OpenVINO IR."""
        return all(self._has(component, OPENVINO_FILE) for component in COMPONENTS)

    @property
    def has_onnx(self) -> bool:
        """All components are there as ONNX."""
        return all(self._has(component, ONNX_FILE) for component in COMPONENTS)

    def component(self, name: str, backend: Backend) -> Path:
        """The file of a component for a backend; OpenVINO reads ONNX where there is no IR."""
        ir = self.path / name / OPENVINO_FILE
        return ir if backend == "openvino" and ir.is_file() else self.path / name / ONNX_FILE

    def memory_needed(self, backend: Backend) -> int:
        """Bytes of memory that a process with this model takes at most, about, while it paints at the native size.

        Fitted to the peaks in docs/benchmarks.md: a gigabyte, and half as much again as the networks take on disk.
        """
        networks = [self.component(name, backend) for name in COMPONENTS]
        files = {file for network in networks for file in network.parent.glob(f"{network.stem}*")}
        return 1_000_000_000 + 3 * sum(file.stat().st_size for file in files) // 2

    def _config(self, relative: str) -> dict[str, Any]:
        path = self.path / relative
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BadModel(f"{path} is missing; fetch or export the model again") from None
        except (OSError, ValueError) as error:
            raise BadModel(f"{path} cannot be read ({error}); fetch or export the model again") from error
        if not isinstance(config, dict):
            raise BadModel(f"{path} holds no JSON object; fetch or export the model again")
        return config

    @cached_property
    def unet_config(self) -> dict[str, Any]:
        """`unet/config.json` as diffusers writes it."""
        config = self._config("unet/config.json")
        for key in ("in_channels", "down_block_types"):
            if key not in config:
                raise BadModel(f"{self.path / 'unet/config.json'} does not say {key!r}; export the model again")
        return config

    @cached_property
    def _vae_config(self) -> dict[str, Any]:
        return self._config("vae_decoder/config.json")

    @cached_property
    def scheduler_config(self) -> dict[str, Any]:
        """`scheduler/scheduler_config.json` as diffusers writes it."""
        return self._config("scheduler/scheduler_config.json")

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """`cyclorama.json`, or {} for a folder that another tool exported."""
        return self._config("cyclorama.json") if (self.path / "cyclorama.json").is_file() else {}

    @property
    def name(self) -> str:
        """What to call the model in metadata: its manifest's name, else its folder's."""
        return str(self.manifest.get("name") or self.path.resolve().name)

    @cached_property
    def vae_key(self) -> str:
        """Tells models apart by how they encode a photo: one's scenes are no good for another with another key.

        A hash of the encoder's config, of its file's size, beginning and end, and of what sizes the UNet takes.
        """
        digest = hashlib.sha256(f"{self.size_multiple} {self.is_inpainting} {self.scaling_factor}".encode())
        digest.update(json.dumps(self._config("vae_encoder/config.json"), sort_keys=True).encode())
        folder = self.path / "vae_encoder"
        weights = folder / OPENVINO_FILE.replace(".xml", ".bin")
        with (weights if weights.is_file() else folder / ONNX_FILE).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest.update(str(size).encode())
            for start in (0, max(0, size - _SAMPLE)):
                file.seek(start)
                digest.update(file.read(_SAMPLE))
        return digest.hexdigest()[:32]

    @property
    def noise_schedule(self) -> NoiseSchedule:
        """The diffusion process the UNet was trained on.

        What the scheduler's config leaves out is what diffusers' classes take then: it clips, with DDIM, and its betas
        are those of DDPM (Ho et al., 2020). Its inpainting pipeline sets `steps_offset` to 1 whatever the config says.
        """
        config = self.scheduler_config
        is_distilled = config.get("_class_name") in (None, "LCMScheduler", "TCDScheduler")
        betas = {} if is_distilled else {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
        return NoiseSchedule.from_config({"clip_sample": True, **betas, **config, "steps_offset": 1})

    @property
    def timestep_spacing(self) -> str | None:
        """The scheduler config's; None where it has none."""
        spacing = self.scheduler_config.get("timestep_spacing")
        return None if spacing is None else str(spacing)

    @property
    def is_inpainting(self) -> bool:
        """The UNet is shown mask and masked image (9 channels), so nothing need be blended per step."""
        return bool(self.unet_config["in_channels"] == 9)

    @property
    def time_cond_proj_dim(self) -> int | None:
        """Width of the guidance embedding of an LCM-style UNet, else None."""
        width = self.unet_config.get("time_cond_proj_dim")
        return None if width is None else int(width)

    @property
    def distillation(self) -> Distillation | None:
        """How the model was taught to need few steps, as its configs tell; None: it was not."""
        scheduler = str(self.scheduler_config.get("_class_name", ""))
        if self.time_cond_proj_dim is not None or scheduler == "LCMScheduler":
            return "lcm"
        if scheduler == "TCDScheduler":
            return "tcd"
        return None

    @property
    def latent_channels(self) -> int:
        """Channels of the VAE's latents."""
        return int(self._vae_config.get("latent_channels", 4))

    @property
    def scaling_factor(self) -> float:
        """VAE latents times this have about unit variance."""
        default = 1.0 if self._vae_config.get("_class_name") == "AutoencoderTiny" else 0.18215  # diffusers' own
        return float(self._vae_config.get("scaling_factor", default))

    @property
    def vae_scale_factor(self) -> int:
        """Pixels to a latent, along each side (8 for Stable Diffusion)."""
        blocks = self._vae_config.get("block_out_channels") or self._vae_config.get("encoder_block_out_channels")
        if not blocks:
            raise BadModel(f"{self.path / 'vae_decoder/config.json'} does not say 'block_out_channels'")
        return int(2 ** (len(blocks) - 1))

    @property
    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels (64 for SD1.5)."""
        return int(self.vae_scale_factor * 2 ** (len(self.unet_config["down_block_types"]) - 1))

    @property
    def native_size(self) -> int:
        """Side of the square that the model was trained on, in pixels (512 for SD1.5)."""
        sample_size = self.unet_config.get("sample_size") or 64
        if isinstance(sample_size, list):
            sample_size = max(sample_size)
        return int(sample_size) * self.vae_scale_factor
