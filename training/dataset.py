"""The training set on disk: latents and captions in chunks, each drawn from its own seed.

A chunk is an `.npz` with `latents` (N, 4, h, w) float16 and `captions` (N,) strings; a chunk of
masks has `masks` (N, 1, h, w) bool, True where the background is to be painted, and `kept` (N, 4, h, w)
float16, the latents of the masked picture.  Some chunks keep the `pictures` (N, H, W, 3) as bytes too, for
the decoder.  What is there already is not drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training import latent, scenes, subjects
from training.canvas import Canvas, Picture

CHUNK = 250

# (height, width) in pixels: chunks of scenes.  Multiples of 32, for the UNet halves latents twice.
SHAPES: dict[tuple[int, int], int] = {
    (128, 128): 32,
    (96, 160): 12, (160, 96): 12, (96, 192): 8, (192, 96): 8,
    (192, 192): 24, (160, 256): 20, (256, 160): 20,
    (256, 256): 48, (192, 320): 14, (320, 192): 14,
}  # fmt: skip
_WITH_PICTURES = 4  # per shape


@dataclass(frozen=True)
class Task:
    """One chunk to draw."""

    kind: str
    height: int
    width: int
    index: int

    def path(self, folder: Path) -> Path:
        """Where the chunk lies."""
        return folder / f"{self.kind}-{self.height}x{self.width}-{self.index:03d}.npz"

    @property
    def rng(self) -> np.random.Generator:
        """The chunk's own source of randomness."""
        return np.random.default_rng([self.index, self.height, self.width, len(self.kind)])


def tasks(scale: float = 1.0) -> Iterator[Task]:
    """All chunks; `scale` draws more or fewer."""
    for (height, width), number in SHAPES.items():
        yield from (Task("scenes", height, width, i) for i in range(max(1, round(number * scale))))
        yield from (Task("masks", height, width, i) for i in range(max(1, round(number * scale / 8))))


def draw(folder: Path, photo_cache: Path, *, scale: float = 1.0, workers: int = 2) -> None:
    """Draws what is missing of the training set into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [task for task in tasks(scale) if not task.path(folder).exists()]
    with Pool(workers) as pool:
        for _ in tqdm(
            pool.imap_unordered(partial(_draw, folder=folder, photo_cache=photo_cache), missing),
            total=len(missing), unit="chunk", desc="drawing",
        ):  # fmt: skip
            pass


def _draw(task: Task, folder: Path, photo_cache: Path) -> None:
    arrays = (_scenes if task.kind == "scenes" else _masks)(task, photo_cache)
    unfinished = task.path(folder).with_suffix(".part.npz")
    np.savez(unfinished, allow_pickle=False, **arrays)
    unfinished.rename(task.path(folder))


def _scenes(task: Task, photo_cache: Path) -> dict[str, NDArray[np.generic]]:
    rng = task.rng
    examples = [scenes.example(rng, task.height, task.width, photo_cache=photo_cache) for _ in range(CHUNK)]
    arrays: dict[str, NDArray[np.generic]] = {
        "latents": _encode([example.picture for example in examples]),
        "captions": np.array([example.caption for example in examples]),
    }
    if task.index < _WITH_PICTURES:
        arrays["pictures"] = np.stack([scenes.to_bytes(example.picture, rng) for example in examples])
    return arrays


def _masks(task: Task, photo_cache: Path) -> dict[str, NDArray[np.generic]]:
    canvas = Canvas(task.rng, task.height, task.width)
    masks, kept = [], []
    for _ in range(CHUNK):
        shape = subjects.subject(canvas)
        texture = None
        if canvas.chance(0.6):
            texture = scenes.example(canvas.rng, task.height, task.width, photo_cache=photo_cache).picture
        content = subjects.filled(canvas, shape, texture)
        # As the pipelines do it: the hole is grey (0 in [-1, 1]), the mask sampled at each cell's first pixel.
        kept.append(np.where(shape[..., None], content, np.float32(0.5)))
        masks.append(~shape[None, :: latent.CELL, :: latent.CELL])
    return {"masks": np.stack(masks), "kept": _encode(kept)}


def _encode(pictures: list[Picture]) -> NDArray[np.float16]:
    return latent.encode(np.stack(pictures) * 2 - 1).astype(np.float16)


@dataclass(frozen=True)
class Bucket:
    """All of one shape: latents (N, 4, h, w) with N captions, masks (M, 1, h, w) and kept (M, 4, h, w)."""

    latents: NDArray[np.float16]
    captions: list[str]
    masks: NDArray[np.bool_]
    kept: NDArray[np.float16]


def load(folder: Path) -> dict[tuple[int, int], Bucket]:
    """The training set by (height, width) in pixels."""
    buckets = {}
    for height, width in SHAPES:
        drawn = [np.load(p) for p in sorted(folder.glob(f"scenes-{height}x{width}-*[0-9].npz"))]
        masks = [np.load(p) for p in sorted(folder.glob(f"masks-{height}x{width}-*[0-9].npz"))]
        if drawn and masks:
            buckets[height, width] = Bucket(
                np.concatenate([chunk["latents"] for chunk in drawn]),
                [str(said) for chunk in drawn for said in chunk["captions"]],
                np.concatenate([chunk["masks"] for chunk in masks]),
                np.concatenate([chunk["kept"] for chunk in masks]),
            )
    if not buckets:
        raise FileNotFoundError(f"there is no training set in {folder}; draw it first: python -m training draw")
    return buckets


def load_pictures(folder: Path) -> dict[tuple[int, int], NDArray[np.uint8]]:
    """The pictures that were kept, (N, H, W, 3), by shape."""
    found: dict[tuple[int, int], list[NDArray[np.uint8]]] = {}
    for path in sorted(folder.glob("scenes-*[0-9].npz")):
        with np.load(path) as chunk:
            if "pictures" in chunk:
                pictures = chunk["pictures"]
                found.setdefault((pictures.shape[1], pictures.shape[2]), []).append(pictures)
    return {shape: np.concatenate(parts) for shape, parts in found.items()}
