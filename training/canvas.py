"""The canvas that procedural scenes are drawn on: noise, distances, discs, blur at any height and width.

Pictures are float32 of shape (H, W, 3), sRGB values around [0, 1]; what goes beyond is clipped at the end.
Positions are fractions of the height (y, downwards) and of the width (x).  Lengths are in units of 1/128
of the short side, so that a scene looks alike at every size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

Picture = NDArray[np.float32]

T = TypeVar("T")


def colour(*rgb: float) -> Picture:
    """A colour as float32 of shape (3,)."""
    return np.asarray(rgb, np.float32)


def mix(a: ArrayLike, b: ArrayLike, t: ArrayLike) -> Picture:
    """`a` where t is 0, `b` where it is 1.  A two-dimensional t is a mask over pictures."""
    weight = np.asarray(t, np.float32)
    if weight.ndim == 2:
        weight = weight[..., None]
    low = np.asarray(a, np.float32)
    return np.asarray(low + (np.asarray(b, np.float32) - low) * weight, np.float32)


def smoothstep(start: float, end: float, value: ArrayLike) -> Picture:
    """0 at `start`, 1 at `end`, smooth between (cubic Hermite); `start` may lie above `end`."""
    t = np.clip((np.asarray(value, np.float32) - start) / (end - start + 1e-9), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian defocus; sigma in 1/128 of the short side."""
    pixels = sigma * min(picture.shape[:2]) / 128
    return gaussian_filter(picture, (pixels, pixels, 0), mode="nearest") if pixels > 0.15 else picture


@dataclass(frozen=True)
class Canvas:
    """A height, a width and a source of randomness."""

    rng: np.random.Generator
    height: int
    width: int

    @property
    def short(self) -> int:
        """The shorter side in pixels."""
        return min(self.height, self.width)

    @property
    def y(self) -> Picture:
        """(H, 1): 0 at the top, 1 at the bottom."""
        return np.asarray((np.arange(self.height) + 0.5) / self.height, np.float32)[:, None]

    @property
    def x(self) -> Picture:
        """(1, W): 0 at the left, 1 at the right."""
        return np.asarray((np.arange(self.width) + 0.5) / self.width, np.float32)[None, :]

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`, all alike."""
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, probability: float) -> bool:
        """True that often."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """A number from low to high."""
        return float(self.rng.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high - 1."""
        return int(self.rng.integers(low, high))

    def vary(self, rgb: ArrayLike, spread: float = 0.05) -> Picture:
        """The colour, a little brighter or darker and a little off: (3,)."""
        base = np.asarray(rgb, np.float32)
        shade = base * (1 + self.between(-2 * spread, 2 * spread))
        return np.asarray(np.clip(shade + self.rng.normal(0, spread * 0.5, 3), 0, 1.2), np.float32)

    def fill(self, rgb: ArrayLike) -> Picture:
        """(H, W, 3) of one colour, or of anything that broadcasts; a fresh array."""
        return np.array(np.broadcast_to(np.asarray(rgb, np.float32), (self.height, self.width, 3)))

    def distance(self, cx: float, cy: float) -> Picture:
        """(H, W): the distance from a point, in short sides."""
        pixels = np.hypot((self.x - cx) * self.width, (self.y - cy) * self.height)
        return np.asarray(pixels / self.short, np.float32)

    def along(self, angle: float, cx: float = 0.5, cy: float = 0.5) -> Picture:
        """(H, W): the coordinate in direction `angle` (radians) from a point, in short sides."""
        dx = (self.x - cx) * (self.width / self.short)
        dy = (self.y - cy) * (self.height / self.short)
        return np.asarray(dx * np.cos(angle) + dy * np.sin(angle), np.float32)

    def noise(self, beta: float = 1.8, stretch_x: float = 1.0, stretch_y: float = 1.0, lowest: float = 0.7) -> Picture:
        """Fractal noise of shape (H, W), mean 0, standard deviation 1: a spectrum of 1 / f**beta.

        A larger `stretch_x` squeezes the pattern along x.  Frequencies are in cycles per short side;
        those under `lowest` are levelled.
        """
        fy = np.fft.fftfreq(self.height)[:, None].astype(np.float32) * self.short
        fx = np.fft.rfftfreq(self.width)[None, :].astype(np.float32) * self.short
        f = np.maximum(np.hypot(fx / stretch_x, fy / stretch_y), lowest)
        spectrum = (self.rng.standard_normal(f.shape) + 1j * self.rng.standard_normal(f.shape)) / f**beta
        spectrum[0, 0] = 0
        plane = np.fft.irfft2(spectrum, s=(self.height, self.width)).astype(np.float32)
        return np.asarray(plane / (plane.std() + 1e-6), np.float32)

    def profile(self, beta: float = 1.5) -> Picture:
        """One-dimensional fractal noise along x, shape (1, W), mean 0, standard deviation 1; its ends do not meet."""
        f = np.maximum(np.fft.rfftfreq(2 * self.width) * 2 * self.short, 1)
        spectrum = (self.rng.standard_normal(f.shape) + 1j * self.rng.standard_normal(f.shape)) / f**beta
        spectrum[0] = 0
        line = np.fft.irfft(spectrum, 2 * self.width)[: self.width].astype(np.float32)
        return np.asarray((line - line.mean()) / (line.std() + 1e-6), np.float32)[None, :]

    def ground(
        self, horizon: float, beta: float = 1.5, across: float = 0.6, away: float = 0.35
    ) -> tuple[Picture, Picture]:
        """A textured plane seen in perspective: (depth, texture), both (H, W).

        Depth is 0 at the horizon (and above it) and 1 at the lower edge; the texture is noise.
        """
        side = 256
        texture = Canvas(self.rng, side, side).noise(beta)
        depth = np.clip((self.y - horizon) / (1 - horizon), 0, 1)
        z = 1 / (depth + 0.06)
        u = ((self.x - 0.5) * (self.width / self.short) * z * across * 80 + 999).astype(np.intp) % side
        v = (z * away * 120).astype(np.intp) % side
        return np.broadcast_to(depth, (self.height, self.width)).astype(np.float32), texture[v, u]

    def discs(
        self,
        picture: Picture,
        number: int,
        radius: tuple[float, float],
        colours: Sequence[ArrayLike],
        *,
        top: float = 0.0,
        bottom: float = 1.0,
        opacity: tuple[float, float] = (0.3, 0.9),
        rim: float = 0.25,
        light: bool = True,
    ) -> Picture:
        """Out-of-focus spots: added to the picture if they are `light`, laid over it if not.

        radius: in 1/128 of the short side.  rim: how much darker the centre is than the rim, 0 to 1.
        `number` is for a square; longer canvases get more.  Changes `picture` and returns it.
        """
        number = round(number * self.height * self.width / self.short**2)
        for _ in range(number):
            cx, cy = self.rng.random() * self.width, self.between(top, bottom) * self.height
            r = self.between(*radius) * self.short / 128
            strength = self.between(*opacity)
            tone = self.vary(self.pick(colours), 0.06)
            left, right = max(0, int(cx - r - 1)), min(self.width, int(cx + r + 2))
            upper, lower = max(0, int(cy - r - 1)), min(self.height, int(cy + r + 2))
            if left >= right or upper >= lower:
                continue
            yy, xx = np.mgrid[upper:lower, left:right]
            d = np.hypot(xx - cx, yy - cy) / r
            mask = (np.clip((1 - d) * r / 1.5, 0, 1) * (1 - rim + rim * d**2) * strength)[..., None].astype(np.float32)
            patch = picture[upper:lower, left:right]
            picture[upper:lower, left:right] = patch + mask * tone if light else mix(patch, tone, mask)
        return picture

    def box(self, picture: Picture, left: float, top: float, right: float, bottom: float, rgb: ArrayLike) -> None:
        """Fills a rectangle, in fractions of the width and the height."""
        rows = slice(int(max(0.0, top) * self.height), int(max(0.0, bottom) * self.height))
        columns = slice(int(max(0.0, left) * self.width), int(max(0.0, right) * self.width))
        picture[rows, columns] = np.asarray(rgb, np.float32)

    def vignette(self, picture: Picture, strength: float = 0.35) -> Picture:
        """Darker towards the corners."""
        return picture * (1 - strength * smoothstep(0.3, 0.85, self.distance(0.5, 0.5)))[..., None]


@dataclass(frozen=True)
class Drawn:
    """A scene as drawn, before its defocus.

    picture: (H, W, 3).  subject: what it shows, a noun phrase as people write it ("sandy beach").
    details: phrases that may stand before or after it ("at sunset", "with palm trees").
    defocus: the least and the greatest sigma that suit it, in 1/128 of the short side.
    """

    picture: Picture
    subject: str
    details: tuple[str, ...] = ()
    defocus: tuple[float, float] = (0.3, 2.0)
