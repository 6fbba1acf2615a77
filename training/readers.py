"""A reader: a small network that says which scene a picture shows, to measure how well prompts are followed.

It is trained on freshly drawn scenes and on those parts of the photographs that the generator never sees, and
tested on other fresh drawings and on the photographs' other parts, which the reader itself never sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from training import photos, scenes, state

Pictures = NDArray[np.uint8]

SIDE = 64
PER_SCENE, PER_PHOTO = 320, 40
_TEST_PER_SCENE, _TEST_PER_PHOTO = 40, 10
_SHAPES = ((112, 112), (128, 128), (96, 128), (128, 96), (96, 96))  # (height, width) in pixels
_SEED = 990_017  # far from the training set's, which are indices of chunks
_BATCH = 64
_EPOCHS = 10


@dataclass(frozen=True)
class Drawings:
    """Pictures (N, SIDE, SIDE, 3), indices into SCENES (N,), and whether each is of a photograph (N,)."""

    pictures: Pictures
    labels: NDArray[np.int64]
    photographed: NDArray[np.bool_]


def shrink(picture: NDArray[np.float32] | Pictures) -> Pictures:
    """Any picture (H, W, 3), floats in [0, 1] or bytes, as (SIDE, SIDE, 3) bytes: each pixel the mean of its area."""
    data = picture if picture.dtype == np.uint8 else np.clip(np.round(picture * 255), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(np.ascontiguousarray(data)).resize((SIDE, SIDE), Image.Resampling.BOX))


def known_photos() -> list[photos.Photo]:
    """The photographs that show one of SCENES."""
    return [photo for photo in photos.PHOTOS if photo.scene in scenes.SCENES]


def drawings(work: Path, *, test: bool = False) -> Drawings:
    """The reader's training or test set; drawn once (a minute), then read from `work`."""
    path = work / f"readers-{'test' if test else 'train'}.npz"
    if not path.exists():
        drawn = _draw(work / "photos", test)
        unfinished = path.with_suffix(".part.npz")
        np.savez(unfinished, pictures=drawn.pictures, labels=drawn.labels, photographed=drawn.photographed)
        unfinished.rename(path)
    with np.load(path) as kept:
        return Drawings(kept["pictures"], kept["labels"], kept["photographed"])


def _draw(photo_cache: Path, test: bool) -> Drawings:
    rng = np.random.default_rng([_SEED, int(test)])
    per_scene, per_photo = (_TEST_PER_SCENE, _TEST_PER_PHOTO) if test else (PER_SCENE, PER_PHOTO)
    pictures, labels, photographed = [], [], []
    for label, scene in enumerate(tqdm(scenes.SCENES, desc="drawing", unit="scene")):
        for i in range(per_scene):
            pictures.append(shrink(scenes.example(rng, *_SHAPES[i % len(_SHAPES)], scene=scene).picture))
        taken = [photo for photo in known_photos() if photo.scene == scene]
        for photo in taken:
            for i in range(per_photo):
                shape = _SHAPES[i % len(_SHAPES)]
                # The reader learns from what the generator never sees, and is tested on the rest.
                pictures.append(shrink(photos.crop(photo, photo_cache, rng, *shape, held_out=not test)[0]))
        labels += [label] * (per_scene + per_photo * len(taken))
        photographed += [False] * per_scene + [True] * (per_photo * len(taken))
    return Drawings(np.stack(pictures), np.array(labels, np.int64), np.array(photographed, np.bool_))


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class Reader(nn.Module):
    """(B, 3, SIDE, SIDE) in [-1, 1] -> (B, number of SCENES), logits. 290 thousand parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _block(3, 24, 2), _block(24, 48, 2), _block(48, 48, 1), _block(48, 96, 2), _block(96, 96, 1),
            _block(96, 128, 2),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(256, len(scenes.SCENES)))

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        features: Tensor = self.body(pictures)
        logits: Tensor = self.head(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1))
        return logits

    @torch.no_grad()
    def read(self, pictures: Sequence[Pictures]) -> NDArray[np.int64]:
        """Indices into SCENES of pictures (H, W, 3) of any sizes: (N,)."""
        self.eval()
        small = torch.from_numpy(np.stack([shrink(picture) for picture in pictures]))
        seen = [self(_normal(small[i : i + 256])).argmax(1) for i in range(0, len(small), 256)]
        return np.asarray(torch.cat(seen).numpy(), np.int64)


def _normal(pictures: Tensor) -> Tensor:
    """(B, H, W, 3) bytes -> (B, 3, H, W) in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def _resized(pictures: Tensor, cell: int) -> Tensor:
    """Shrunk by the mean of cells and enlarged smoothly, as a picture that is nothing but latents looks."""
    small = functional.avg_pool2d(pictures, cell)
    return functional.interpolate(small, size=pictures.shape[2:], mode="bicubic", align_corners=False)


def flawed(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """A batch (B, 3, H, W) in [-1, 1] with a generator's flaws: blur, lost detail, grain, colours a little off."""

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(len(pictures), channels, 1, 1, generator=generator)

    chosen = draw(0, 1)
    blurred = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    pictures = torch.where(chosen < 0.2, blurred, pictures)
    pictures = torch.where((chosen >= 0.2) & (chosen < 0.4), _resized(pictures, 2), pictures)
    pictures = torch.where((chosen >= 0.4) & (chosen < 0.55), _resized(pictures, 4), pictures)
    pictures = torch.where(draw(0, 1) < 0.5, pictures.flip(3), pictures)
    pictures = pictures * draw(0.85, 1.15) * draw(0.95, 1.05, 3) + draw(-0.1, 0.1) + draw(-0.04, 0.04, 3)
    grain = torch.randn(pictures.shape, generator=generator) * draw(-0.1, 0.15).clamp(min=0)
    return (pictures + grain).clamp(-1, 1)


def train(work: Path, *, epochs: int = _EPOCHS, seed: int = 0) -> Reader:
    """Trains a reader into `work`/readers.pt; some minutes on one core."""
    drawn = drawings(work)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    reader = Reader()
    pictures, labels = torch.from_numpy(drawn.pictures), torch.from_numpy(drawn.labels)
    total = epochs * (len(labels) // _BATCH)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=total)
    with tqdm(total=total, desc="reader", unit="step") as progress:
        for _ in range(epochs):
            reader.train()
            order = torch.randperm(len(labels), generator=generator)
            for i in range(len(labels) // _BATCH):
                batch = order[i * _BATCH : (i + 1) * _BATCH]
                logits = reader(flawed(_normal(pictures[batch]), generator))
                loss = functional.cross_entropy(logits, labels[batch], label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                progress.update()
            progress.set_postfix(loss=f"{loss.item():.3f}")
    state.save(work / "readers.pt", total, reader=reader)
    return reader


def load(work: Path) -> Reader:
    """The trained reader."""
    path = work / "readers.pt"
    reader = Reader()
    if not state.resume(path, reader=reader):
        raise FileNotFoundError(f"there is no {path}; train it first: python -m training readers")
    return reader.eval()


@dataclass(frozen=True)
class Accuracy:
    """How much of the test set is read rightly, 0 to 1: drawings, photographs, and each scene's drawings."""

    drawn: float
    photographed: float
    by_scene: dict[str, float]


def accuracy(reader: Reader, work: Path) -> Accuracy:
    """Of a reader, on pictures that it did not learn from."""
    test = drawings(work, test=True)
    right = reader.read(list(test.pictures)) == test.labels
    drawn = [right[(test.labels == label) & ~test.photographed] for label in range(len(scenes.SCENES))]
    by_scene = {scene: float(hits.mean()) for scene, hits in zip(scenes.SCENES, drawn, strict=True)}
    return Accuracy(float(right[~test.photographed].mean()), float(right[test.photographed].mean()), by_scene)
