"""nano's autoencoder: the encoder is written down, the decoder is trained.

`AutoencoderTiny` has no normalisation, so the analytic latent (`latent.py`) can be put into its encoder's
weights exactly.  The decoder starts near bilinear interpolation of the cells' mean colours (its tanh compresses the
extremes) and learns the rest.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch.nn import functional
from tqdm import tqdm

from training import latent, state

CHANNELS = 32
_SAVE_EVERY = 100
_ENCODER_CHANNELS = 5  # red, green, blue, luma twice


def build() -> AutoencoderTiny:
    """An autoencoder whose encoder is the analytic latent and whose decoder nearly interpolates it."""
    vae = AutoencoderTiny(
        encoder_block_out_channels=(_ENCODER_CHANNELS,) * 4,
        decoder_block_out_channels=(CHANNELS,) * 4,
        num_encoder_blocks=(0, 0, 0, 0),
        num_decoder_blocks=(2, 2, 2, 1),
        latent_channels=4,
        scaling_factor=1.0,
    )
    with torch.no_grad():
        _write_encoder(vae)
        _start_decoder(vae)
    return vae


def _write_encoder(vae: AutoencoderTiny) -> None:
    first, *halvings, last = vae.encoder.layers
    luma = torch.from_numpy(latent.LUMA)
    first.weight.zero_()
    first.bias.zero_()
    first.weight[:3, :, 1, 1] = torch.eye(3)
    first.weight[3:, :, 1, 1] = luma
    for conv in halvings:
        conv.weight.zero_()
        for channel in range(_ENCODER_CHANNELS):
            conv.weight[channel, channel, 1:, 1:] = 0.25  # a stride of 2 with padding 1: these are cells 2i, 2i + 1
    # The last halving keeps the upper and the lower half apart.
    conv.weight[3, 3, 1:, 1:] = torch.tensor([[0.5, 0.5], [0.0, 0.0]])
    conv.weight[4, 4, 1:, 1:] = torch.tensor([[0.0, 0.0], [0.5, 0.5]])
    axes = torch.zeros(4, _ENCODER_CHANNELS)
    axes[0, :3] = luma
    axes[1] = torch.tensor([1.0, 0, -1, 0, 0])
    axes[2] = torch.tensor([-0.5, 1, -0.5, 0, 0])
    axes[3] = torch.tensor([0.0, 0, 0, 1, -1])
    mean, std = torch.from_numpy(latent.MEAN), torch.from_numpy(latent.STD)
    # The encoder sees [0, 1]; the latent is defined over [-1, 1].
    offset = torch.tensor([-1.0, 0, 0, 0])
    last.weight.zero_()
    last.weight[:, :, 1, 1] = 2 * axes / std[:, None]
    last.bias.copy_((offset - mean) / std)


_MARGIN = 0.2  # keeps colours a little under 0 from being cut by the ReLUs


def _start_decoder(vae: AutoencoderTiny) -> None:
    layers = list(vae.decoder.layers)
    first, last = layers[0], layers[-1]
    luma_r, luma_g, luma_b = latent.LUMA.tolist()
    # Rows: red, green, blue from (luma, red - blue, green).
    middle = torch.tensor([1.0, -(luma_r - luma_b) / 2, -luma_g])
    rgb = torch.stack(
        [middle + torch.tensor([0, 0.5, 0]), middle + torch.tensor([0, 0, 1.0]), middle - torch.tensor([0, 0.5, 0])]
    )
    mean, std = torch.from_numpy(latent.MEAN[:3]), torch.from_numpy(latent.STD[:3])
    first.weight[:3] = 0
    first.weight[:3, :3, 1, 1] = rgb * std / 2
    first.bias[:3] = rgb @ mean / 2 + 0.5 + _MARGIN
    tent = torch.tensor([0.25, 0.5, 0.25])
    for layer in layers[1:-1]:
        if isinstance(layer, torch.nn.Conv2d):  # after nearest-neighbour upsampling: makes it bilinear
            layer.weight[:3] = 0
            for channel in range(3):
                layer.weight[channel, channel] = tent[:, None] * tent[None, :]
        elif hasattr(layer, "conv"):
            layer.conv[-1].weight.mul_(0.1)
            layer.conv[-1].weight[:3] = 0
            layer.conv[-1].bias.zero_()
    last.weight.mul_(0.02)
    last.weight[:, :3] = 0
    for channel in range(3):
        last.weight[channel, channel, 1, 1] = 1
    last.bias.fill_(-_MARGIN)


def psnr(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB over a batch with values in [-1, 1]."""
    error = ((ours.clamp(-1, 1) - theirs) / 2).pow(2).mean(dim=(1, 2, 3))
    return float((-10 * torch.log10(error)).mean())


def _loss(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """L1 of values and of gradients at two scales, and the mean colours, which L1 alone lets drift."""
    total = 4 * (functional.avg_pool2d(ours, 8) - functional.avg_pool2d(theirs, 8)).pow(2).mean()
    for weight in (1.0, 0.5):
        total = total + weight * (ours - theirs).abs().mean()
        for axis in (-1, -2):
            total = total + 0.5 * weight * (ours.diff(dim=axis) - theirs.diff(dim=axis)).abs().mean()
        ours, theirs = functional.avg_pool2d(ours, 2), functional.avg_pool2d(theirs, 2)
    return total


def train(
    pictures: dict[tuple[int, int], NDArray[np.uint8]],
    out: Path,
    *,
    steps: int = 4000,
    batch: int = 16,
    crop: int = 80,
    learning_rate: float = 1.5e-3,
    device: str = "cpu",
    seed: int = 0,
) -> float:
    """Trains the decoder on crops; resumes from `out`; returns the PSNR in dB on the last 32 pictures of each shape.

    Crops show the frame's edge as often as not, so that the padding's darkness is learnt away.
    """
    torch.manual_seed(seed)
    vae = build().to(device, memory_format=torch.channels_last)
    vae.encoder.requires_grad_(False)
    optimizer = torch.optim.AdamW(vae.decoder.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=1e-4)
    held_out = {
        shape: torch.from_numpy(p[-32:]).permute(0, 3, 1, 2).float() / 127.5 - 1 for shape, p in pictures.items()
    }
    shapes = [shape for shape, p in pictures.items() if min(shape) >= crop and len(p) > 64]
    done = state.resume(out / "autoencoder.pt", device, vae=vae, optimizer=optimizer)
    bar = tqdm(range(done, steps), initial=done, total=steps, unit="step", desc="decoder")
    for step in bar:
        rng = np.random.default_rng([seed, step])
        cosine = 0.5 + 0.5 * math.cos(math.pi * step / steps)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * cosine)
        chosen = pictures[shapes[int(rng.integers(len(shapes)))]]
        top, left = (int(rng.integers((size - crop) // 8 + 1)) * 8 for size in chosen.shape[1:3])
        rows = np.stack(
            [chosen[k, top : top + crop, left : left + crop] for k in rng.integers(len(chosen) - 32, size=batch)]
        )
        if rng.random() < 0.5:
            rows = rows[:, :, ::-1]
        truth = torch.from_numpy(rows.copy()).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            latents = vae.encode(truth).latents
            # What the denoiser paints is a little off: the decoder must bear it.
            noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32)).to(device)
            latents = latents + noise * float(rng.choice([0.0, 0.03, 0.1]))
        loss = _loss(vae.decode(latents.contiguous(memory_format=torch.channels_last)).sample, truth)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
        optimizer.step()
        if step % _SAVE_EVERY == _SAVE_EVERY - 1 or step + 1 == steps:
            state.save(out / "autoencoder.pt", step + 1, vae=vae, optimizer=optimizer)
            bar.set_postfix(loss=f"{loss.item():.4f}")
        if step % 500 == 499:
            tqdm.write(f"step {step + 1}: {evaluate(vae, held_out, device):.2f} dB")
    vae.to("cpu").save_pretrained(out / "vae")
    return evaluate(vae, held_out, "cpu")


@torch.no_grad()
def evaluate(vae: AutoencoderTiny, held_out: dict[tuple[int, int], torch.Tensor], device: str) -> float:
    """Mean PSNR in dB of the round trip."""
    scores = [psnr(vae.decode(vae.encode(p.to(device)).latents).sample, p.to(device)) for p in held_out.values()]
    return float(np.mean(scores))
