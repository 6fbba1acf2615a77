"""Few steps: nano distilled into a LoRA for the latent consistency sampler (Luo et al. 2023), guidance built in.

The teacher goes from noise to a picture in eight guided steps (DPM-Solver++ 2M, Lu et al. 2022).  From each point
of its way that the sampler visits in four steps, the student learns to land where the teacher ended: the
consistency function, taught by its definition rather than by the student's own next step, which took 800 steps to
teach grain.  As `LCMScheduler` has it: c_skip and c_out with sigma_data 0.5 and timesteps scaled by 10.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrize
from tqdm import tqdm
from transformers import CLIPTextModel

from cyclorama.models.store import sha256
from training import dataset, state
from training.denoiser import SCHEDULE, Examples, follow, half_precision, shares

# The teacher's timesteps; those that LCM's sampler visits in four steps are the student's.
_WAY = (999, 879, 759, 629, 499, 379, 259, 120)
_VISITED = (999, 759, 499, 259)
_SIGMA_DATA = 0.5
_TIMESTEP_SCALING = 10.0
_HUBER = 0.001
_EMA = 0.98


class LowRank(nn.Module):
    """W becomes W + up @ down: the change that a LoRA file holds."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        rank = min(rank, rows, columns)
        self.down = nn.Parameter(torch.randn(rank, columns) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The changed weight, of the same shape."""
        return weight + (self.up @ self.down).reshape(weight.shape)


def add_lora(unet: UNet2DConditionModel, rank: int) -> dict[str, LowRank]:
    """Freezes the UNet and lets every linear and convolution layer change by `rank`; the changes by layer."""
    unet.requires_grad_(False)
    layers = {name: m for name, m in unet.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}
    changes = {}
    for name, layer in layers.items():
        changes[name] = LowRank(layer.weight, rank)
        parametrize.register_parametrization(layer, "weight", changes[name])
    return changes


def save_lora(changes: dict[str, LowRank], shapes: dict[str, torch.Size], path: Path) -> None:
    """Writes the LoRA in the key format of diffusers, float16."""
    tensors = {}
    for name, change in changes.items():
        down, up = change.down.detach().cpu().half(), change.up.detach().cpu().half()
        if len(shapes[name]) == 4:
            down, up = down.reshape(-1, *shapes[name][1:]), up[:, :, None, None]
        tensors[f"unet.{name}.lora_A.weight"] = down.contiguous()
        tensors[f"unet.{name}.lora_B.weight"] = up.contiguous()
    unfinished = path.with_suffix(".part")
    save_file(tensors, unfinished)
    unfinished.rename(path)


def train(
    work: Path,
    out: Path,
    *,
    steps: int,
    rank: int = 24,
    cells: int = 3072,
    learning_rate: float = 5e-4,
    guidance: tuple[float, float] = (3.0, 5.0),
    device: str = "cpu",
    bf16: bool = False,
    seed: int = 0,
) -> None:
    """Distils `work/unet` with `work/text_encoder` and writes the LoRA to `out`; resumes.

    cells: latent cells of the teacher's pictures a step; the student sees each four times.
    guidance: the range that the teacher's guidance scale is drawn from.
    """
    torch.manual_seed(seed)
    teacher = UNet2DConditionModel.from_pretrained(work / "unet").to(device, memory_format=torch.channels_last)
    text_encoder = CLIPTextModel.from_pretrained(work / "text_encoder").to(device).requires_grad_(False)
    student = deepcopy(teacher)
    teacher.requires_grad_(False)
    shapes = {name: m.weight.shape for name, m in student.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}
    changes = add_lora(student, rank)
    student.to(device)
    # A ModuleDict takes no dots in its names.
    lora = nn.ModuleDict({name.replace(".", "-"): change for name, change in changes.items()})
    average = deepcopy(lora).requires_grad_(False)
    optimizer = torch.optim.AdamW(lora.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    # Another teacher's half-done distillation is none of this one's.
    kept_state = work / f"distil-way-{sha256(work / 'unet' / 'diffusion_pytorch_model.safetensors')[:12]}.pt"
    done = state.resume(kept_state, device, lora=lora, average=average, optimizer=optimizer)
    examples = [Examples(bucket, work / "tokenizer", device) for bucket in dataset.load(work / "data").values()]
    share = shares(examples)
    distillation = _Distillation(teacher, student, text_encoder, DDPMScheduler(**SCHEDULE).alphas_cumprod.to(device))
    bar = tqdm(range(done, steps), initial=done, total=steps, unit="step", desc="distil")
    for step in bar:
        rng = np.random.default_rng([seed, step])
        chosen = examples[int(rng.choice(len(examples), p=share))]
        generator = torch.Generator().manual_seed(seed * 10_000_000 + step)
        batch = max(1, round(cells / chosen.cells))
        with half_precision(device, bf16):
            loss = distillation.loss(chosen, batch, float(rng.uniform(*guidance)), generator)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1.0, (step + 1) / 50, 2 * (steps - step) / steps)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lora.parameters(), 1.0)
        optimizer.step()
        follow(average, lora, min(_EMA, (step + 1) / (step + 10)))
        if step % 20 == 19:
            bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        if step % 200 == 199 or step + 1 == steps:
            state.save(kept_state, step + 1, lora=lora, average=average, optimizer=optimizer)
    save_lora({name: cast(LowRank, average[name.replace(".", "-")]) for name in changes}, shapes, out)


@dataclass(frozen=True)
class _Distillation:
    """The teacher's way from noise to a picture, and the student's landings from points of it."""

    teacher: UNet2DConditionModel
    student: UNet2DConditionModel
    text_encoder: CLIPTextModel
    alphas: torch.Tensor

    def loss(self, chosen: Examples, batch: int, guidance_scale: float, generator: torch.Generator) -> torch.Tensor:
        """The pseudo-Huber distance of the student's landings from the teacher's, for a random batch."""
        z, weights, masks, kept, ids = chosen.draw(batch, generator)
        condition = torch.cat([masks, kept], 1)
        with torch.no_grad():
            states = self.text_encoder(ids).last_hidden_state
            empty = self.text_encoder(chosen.empty[None]).last_hidden_state.expand(batch, -1, -1)
            noise = torch.randn(z.shape, generator=generator).to(z.device)
            points, end = self.way(noise, condition, torch.cat([states, empty]), guidance_scale)
        timesteps = torch.tensor(_VISITED, device=z.device).repeat_interleave(batch)
        many = len(_VISITED)
        landed = self._land(
            torch.cat(points), condition.repeat(many, 1, 1, 1), timesteps, self._alpha(timesteps),
            states.repeat(many, 1, 1),
        )  # fmt: skip
        distance = ((landed - end.repeat(many, 1, 1, 1)).pow(2) + _HUBER**2).sqrt()
        return (distance * weights.repeat(many, 1, 1, 1)).mean()

    def way(
        self, x: torch.Tensor, condition: torch.Tensor, states: torch.Tensor, guidance_scale: float
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The teacher's x at each of _VISITED, and where it ends; from noise, by DPM-Solver++ 2M with guidance.

        states: (2 B, LENGTH, WIDTH), the prompts' and then as many of the empty prompt.
        """
        points, before = [], None
        for t, following in zip(_WAY, (*_WAY[1:], None), strict=True):
            if t in _VISITED:
                points.append(x)
            a = self.alphas[t]
            inputs = _joined(torch.cat([x, x]), torch.cat([condition, condition]))
            guided, unguided = self.teacher(inputs, t, states, return_dict=False)[0].float().chunk(2)
            x0 = a.sqrt() * x - (1 - a).sqrt() * (unguided + guidance_scale * (guided - unguided))
            if following is None:
                break
            b = self.alphas[following]
            h = 0.5 * ((b / (1 - b)).log() - (a / (1 - a)).log())
            d = x0 if before is None else x0 + (x0 - before[0]) * h / (2 * before[1])
            x = ((1 - b) / (1 - a)).sqrt() * x - b.sqrt() * torch.expm1(-h) * d
            before = x0, h
        return points, x0

    def _alpha(self, timesteps: torch.Tensor) -> torch.Tensor:
        return _wide(self.alphas[timesteps])

    def _land(
        self, x: torch.Tensor, condition: torch.Tensor, timesteps: torch.Tensor, a: torch.Tensor, states: torch.Tensor
    ) -> torch.Tensor:
        """The student's answer, with the boundary condition that a clean x stays as it is."""
        v = self.student(_joined(x, condition), timesteps, states, return_dict=False)[0].float()
        t = _wide(timesteps.float()) * _TIMESTEP_SCALING
        skip = _SIGMA_DATA**2 / (t**2 + _SIGMA_DATA**2)
        answer: torch.Tensor = skip * x + t / (t**2 + _SIGMA_DATA**2).sqrt() * (a.sqrt() * x - (1 - a).sqrt() * v)
        return answer


def _wide(values: torch.Tensor) -> torch.Tensor:
    """(B,) as (B, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)


def _joined(x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, condition], 1).contiguous(memory_format=torch.channels_last)
