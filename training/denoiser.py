"""nano's text encoder and UNet, trained together.

They predict v (Salimans & Ho 2022) under min-SNR weights (Hang et al. 2023).

More than one process (`torchrun`) splits each batch. Pictures of 128x128 a second on two cores with AMX, weights
and batches as here: one process of two threads 95; two processes of one thread 102 in float32 and 158 in bfloat16,
which pays there only with plain matrix products for attention (94 with torch's fused kernel, slow at its gradient)
and with batches large enough to hide the optimizer (111 with half of them).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.training_utils import compute_snr
from numpy.typing import NDArray
from torch import distributed, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training import dataset, latent, state, vocabulary

BLOCKS = (48, 96, 160)
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
}
_UNMASKED = 0.25  # share of examples with nothing kept
_UNCAPTIONED = 0.1  # for classifier-free guidance
_KEPT_WEIGHT = 0.2  # what is kept is pasted back anyway
_REACH = 2  # cells into what is kept that are to be painted, for the decoder looks across the edge
_OFFSET_NOISE = 0.07  # so that very bright and very dark backdrops are learnt, too
_SNR_CAP = 5.0
_EMA = 0.999  # a step; applied every few
_EMA_EVERY = 5


class Denoiser(nn.Module):
    """Text encoder and UNet as one module: noisy latents, timesteps and token ids to v."""

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.unet = unet

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """v (B, 4, h, w) of x (B, 9, h, w), timesteps (B,) and ids (B, LENGTH)."""
        states = self.text_encoder(ids).last_hidden_state
        v: torch.Tensor = self.unet(x, timesteps, states, return_dict=False)[0]
        return v


def build(tokenizer: Path, start: Path | None = None) -> Denoiser:
    """A fresh denoiser; with `start`, a checkpoint's folder, that one goes on, its words' meanings settled.

    Raises ValueError where the checkpoint's words are not the tokenizer's.
    """
    tokens = CLIPTokenizer.from_pretrained(tokenizer)
    if start is not None:
        if CLIPTokenizer.from_pretrained(start / "tokenizer").get_vocab() != tokens.get_vocab():
            raise ValueError(f"{start} knows other words than {tokenizer}: copy {start / 'tokenizer'} there")
        text_encoder = CLIPTextModel.from_pretrained(start / "text_encoder", torch_dtype=torch.float32)
        text_encoder.text_model.embeddings.token_embedding.requires_grad_(False)
        return Denoiser(text_encoder, UNet2DConditionModel.from_pretrained(start / "unet", torch_dtype=torch.float32))
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens), hidden_size=vocabulary.WIDTH, intermediate_size=4 * vocabulary.WIDTH,
            projection_dim=vocabulary.WIDTH, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=vocabulary.LENGTH, hidden_act="quick_gelu",
            bos_token_id=tokens.bos_token_id, eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id,
        )
    )  # fmt: skip
    table, fixed = vocabulary.embeddings(tokenizer)
    tokens_weight = text_encoder.text_model.embeddings.token_embedding.weight
    with torch.no_grad():
        tokens_weight.copy_(torch.from_numpy(table))
        text_encoder.text_model.embeddings.position_embedding.weight.normal_(0, 0.05)
    free = torch.from_numpy(~fixed).float()[:, None]
    tokens_weight.register_hook(lambda gradient: gradient * free.to(gradient.device))
    unet = UNet2DConditionModel(
        sample_size=32, in_channels=9, out_channels=4, block_out_channels=BLOCKS, layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=vocabulary.WIDTH, attention_head_dim=(1, 3, 5), norm_num_groups=8,
    )  # fmt: skip
    return Denoiser(text_encoder, unet)


def tokenize(tokenizer: Path, texts: list[str]) -> torch.Tensor:
    """Token ids (N, LENGTH)."""
    tokens = CLIPTokenizer.from_pretrained(tokenizer)
    encoded = tokens(texts, padding="max_length", max_length=vocabulary.LENGTH, truncation=True)
    return torch.tensor(encoded["input_ids"], dtype=torch.int64)


class Examples:
    """Random training examples of one shape."""

    def __init__(self, bucket: dataset.Bucket, tokenizer: Path, device: str) -> None:
        self.latents, self.masks, self.kept = (
            torch.from_numpy(part).to(device) for part in (bucket.latents, bucket.masks, bucket.kept)
        )
        self.ids = tokenize(tokenizer, bucket.captions).to(device)
        self.empty = tokenize(tokenizer, [""]).to(device)[0]
        self.cells = bucket.latents.shape[2] * bucket.latents.shape[3]
        # A picture masked all over is grey.
        grey = latent.encode(np.zeros((1, latent.CELL, latent.CELL, 3), np.float32))[0]
        self.nothing = torch.from_numpy(grey).to(device).expand(4, *bucket.latents.shape[2:])

    def draw(
        self, batch: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents to be painted, weights of their cells, mask (1 where to paint), masked latents, ids.

        Deep inside what is kept the latents show the subject; up to _REACH cells inside, the scene behind it.
        """
        device = self.latents.device
        pick = torch.randint(len(self.latents), (batch,), generator=generator).to(device)
        pick_mask = torch.randint(len(self.masks), (batch,), generator=generator).to(device)
        unmasked = (torch.rand(batch, generator=generator) < _UNMASKED).to(device)
        uncaptioned = (torch.rand(batch, generator=generator) < _UNCAPTIONED).to(device)
        flip = bool(torch.rand(1, generator=generator) < 0.5)
        masks, kept = self.masks[pick_mask].float(), self.kept[pick_mask].float()
        if flip:
            masks, kept = masks.flip(-1), kept.flip(-1)
        masks = torch.where(unmasked[:, None, None, None], torch.ones_like(masks), masks)
        kept = torch.where(unmasked[:, None, None, None], self.nothing, kept)
        ids = torch.where(uncaptioned[:, None], self.empty, self.ids[pick])
        painted = functional.max_pool2d(masks, 2 * _REACH + 1, 1, _REACH)
        weights = _KEPT_WEIGHT + (1 - _KEPT_WEIGHT) * painted
        return self.latents[pick].float() * painted + kept * (1 - painted), weights, masks, kept, ids


def train(
    data: Path,
    tokenizer: Path,
    out: Path,
    *,
    steps: int,
    cooldown: int = 2300,
    cells: int = 12288,
    learning_rate: float = 6e-4,
    start: Path | None = None,
    device: str = "cpu",
    bf16: bool = False,
    seed: int = 0,
) -> None:
    """Trains until `steps`; resumes from `out`, also with a later end.

    cells: latent cells a step over all processes (12288 is 48 pictures of 128x128).  The learning rate
    warms up, stays, and falls to nothing over the last `cooldown` steps.  The averaged weights (EMA) are written to
    `out/text_encoder` and `out/unet`.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    torch.manual_seed(seed)
    model = build(tokenizer, start).to(device)
    model.unet.to(memory_format=torch.channels_last)
    average = deepcopy(model).requires_grad_(False)
    optimizer = _optimizer(model, learning_rate)
    done = state.resume(out / "denoiser.pt", device, model=model, average=average, optimizer=optimizer)
    trained: Any = DistributedDataParallel(model) if world > 1 else model
    examples = [Examples(bucket, tokenizer, device) for bucket in dataset.load(data).values()]
    share = shares(examples)
    scheduler = DDPMScheduler(**SCHEDULE)
    bar = tqdm(range(done, steps), initial=done, total=steps, unit="step", desc="denoiser", disable=rank > 0)
    running = 0.0
    for step in bar:
        chosen = examples[int(np.random.default_rng([seed, step]).choice(len(examples), p=share))]
        generator = torch.Generator().manual_seed((seed * 10_000_000 + step) * world + rank)
        with half_precision(device, bf16):
            loss = _loss(trained, chosen, max(1, round(cells / chosen.cells / world)), scheduler, generator)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1.0, (step + 1) / 100, (steps - step) / max(1, cooldown))
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if torch.isfinite(norm):
            optimizer.step()
        if step % _EMA_EVERY == 0:
            follow(average, model, min(_EMA**_EMA_EVERY, (step + 1) / (step + 10)))
        running = loss.item() if step == done else 0.98 * running + 0.02 * loss.item()
        if rank == 0 and step % 20 == 19:
            bar.set_postfix(loss=f"{running:.4f}", refresh=False)
        if rank == 0 and (step % 500 == 499 or step + 1 == steps):
            # The state last: a kill before it trains these steps again, a kill after it loses nothing.
            average.unet.save_pretrained(out / "unet")
            average.text_encoder.save_pretrained(out / "text_encoder")
            state.save(out / "denoiser.pt", step + 1, model=model, average=average, optimizer=optimizer)
    if world > 1:
        distributed.destroy_process_group()


def shares(examples: list[Examples]) -> NDArray[np.float64]:
    """How often to train on each shape: by its cells times its pictures, so that all come round alike."""
    weights = np.array([e.cells * len(e.latents) for e in examples], float)
    return np.asarray(weights / weights.sum(), np.float64)


@contextmanager
def half_precision(device: str, enabled: bool) -> Iterator[None]:
    """Forward and loss in bfloat16; on a CPU without torch's fused attention, whose gradient is slow there."""
    plain = sdpa_kernel(SDPBackend.MATH) if enabled and device == "cpu" else nullcontext()
    with torch.autocast(device, torch.bfloat16, enabled=enabled), plain:
        yield


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, keep: float) -> None:
    """An exponential moving average of the weights: `keep` of the old, the rest of the new."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)


def _optimizer(model: Denoiser, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW, without decay for biases, norms and the tokens' embeddings: the fixed ones would shrink."""
    tokens = model.text_encoder.text_model.embeddings.token_embedding.weight
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1 and p is not tokens]
    others = [p for p in trained if p.ndim <= 1 or p is tokens]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99), fused=True)


def _loss(
    trained: Any, chosen: Examples, batch: int, scheduler: DDPMScheduler, generator: torch.Generator
) -> torch.Tensor:
    """The weighted error of v on a random batch at random timesteps."""
    z, weights, masks, kept, ids = chosen.draw(batch, generator)
    timesteps = torch.randint(1000, (batch,), generator=generator).to(z.device)
    noise = torch.randn(z.shape, generator=generator)
    noise = (noise + _OFFSET_NOISE * torch.randn((batch, 4, 1, 1), generator=generator)).to(z.device)
    noisy, v = scheduler.add_noise(z, noise, timesteps), scheduler.get_velocity(z, noise, timesteps)
    x = torch.cat([noisy, masks, kept], 1).contiguous(memory_format=torch.channels_last)
    predicted = trained(x, timesteps, ids).float()
    snr = compute_snr(scheduler, timesteps).view(-1, 1, 1, 1)
    loss: torch.Tensor = ((predicted - v).pow(2) * weights * snr.clamp(max=_SNR_CAP) / (snr + 1)).mean()
    return loss
