"""Photos whose subject is known to the pixel: cut-outs with their own alpha, laid over photographs.

Both come from Debian packages, fetched when first wanted and kept in the local store: the photographic ones among
Tux Paint's stamps (GPL-2), fur, feathers, thin legs, spokes and foliage among them, and photographs from
the Lomiri and MATE desktops (CC BY, CC BY-SA, CC0, GPL-2): landscapes and rooms, and flowers, branches and pets that
catch the eye beside the subject. None are shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cyclorama.engine.arrays import Mask, Pixels
from cyclorama.models.debian import fetch_package
from cyclorama.models.store import writable_home

_STAMPS = {
    "animals/birds": "crowned_crane helmeted_guineafowl peacock pink_flamingo",
    "animals/fish": "lobster",
    "animals/insects": "mantis",
    "animals/mammals": "aquatic/otter bears/european-bear bovines/gnu-baby-stand bovines/gnu-baby bovines/gnu-stand "
    "bovines/indian_blackbuck cats/tiger_sumatran pig_golden2 rodents/capybara",
    "food/fruit": "Apricot_whole Cherry_Stella Strawberry2 cherimoya",
    "hobbies/music": "brass/trumpet percussion/drum_tomtom_floor string/cello string/guitar2 string/guitar_classical "
    "string/guitar_electric string/guitar_electric_bass",
    "household": "Lightbulb tools/cementmixer",
    "medical": "stethoscope",
    "military/vehicles": "bradley f22_raptor",
    "people": "fireman200b fireman240a",
    "plants/flowers": "anemone_red daffodil",
    "plants/trees": "holm_oak liberia-palm rambutan tree336",
    "seasonal/christmas": "Christmas_Tree_photo German_Christmas_toy Mince_Pie Roast_turkey",
    "vehicles": "construction/dumper emergency/firetruck flight/balloon360 masstransit/green_korean_bus race/indycar "
    "garbagetruck wheel_tractor",
}
_BACKGROUNDS = {
    "lomiri-wallpapers-16.04": (
        "usr/share/backgrounds",
        "Bridge_by_Sander_Klootwijk Dragonfly_by_Bolly Wine_by_Jakkub_Mede aitzgorri_by_Aitzol_Berasategi "
        "friends_by_Aitzol_Berasategi life_by_Aitzol_Berasategi picosdeeuropa_by_Aitzol_Berasategi "
        "seeding_by_Clements_Engelhardt sunset_by_Aitzol_Berasategi",
    ),
    "mate-backgrounds": (
        "usr/share/backgrounds/mate/nature",
        "Dune FreshFlower Garden GreenMeadow LadyBird RainDrops Storm",
    ),
}
STAMPS = "usr/share/tuxpaint/stamps"
SIZES = ((1024, 768), (768, 1024), (896, 896))
_SHARE = (0.4, 0.95)  # of the photo's width or height that a subject takes up at most
_ENLARGED = 2.5  # a stamp at most
_LIT = 0.25  # how far a stamp's mean colour is taken to its surroundings': both would have stood in one light


@dataclass(frozen=True)
class Composite:
    """A photo and what is true of it.

    photo, foreground, background: (H, W, 3) uint8.  alpha: the subject's, (H, W) uint8, 255 inside.
    foreground: the subject's own colours wherever alpha is above 0.  photo is the two mixed by alpha.
    """

    name: str
    photo: Pixels
    alpha: Pixels
    foreground: Pixels
    background: Pixels

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Around the subject: x, y, width, height."""
        rows, columns = (np.flatnonzero((self.alpha > 127).any(axis)) for axis in (1, 0))
        return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1

    @cached_property
    def band(self) -> Mask:
        """See `unknown_band`."""
        return unknown_band(self.alpha)


def unknown_band(alpha: Pixels) -> Mask:
    """The uncertain edge region of a true alpha: soft pixels, and a hundredth of the diagonal to both sides."""
    solid = Image.fromarray(alpha > 127).convert("L")
    larger = smaller = solid
    for _ in range(max(1, round(0.01 * float(np.hypot(*alpha.shape))))):
        larger, smaller = larger.filter(ImageFilter.MaxFilter(3)), smaller.filter(ImageFilter.MinFilter(3))
    return (np.asarray(larger) > np.asarray(smaller)) | ((alpha > 12) & (alpha < 243))


def names() -> list[str]:
    """The cut-outs there are."""
    return [f"{folder}/{name}" for folder, listed in _STAMPS.items() for name in listed.split()]


def load(name: str, store: Path | None = None) -> Composite:
    """A cut-out over a photograph, always the same for a name: which one, where and how large is drawn from it.

    store: where the packages are kept. Raises DownloadFailed.
    """
    folder = store or writable_home() / "benchmark"
    number = names().index(name)
    rng = np.random.default_rng([2026, number])
    stamp = fetch_package("tuxpaint-stamps-default", folder) / STAMPS / f"{name}.png"
    pictures = backgrounds(folder)
    return lay_out(name, stamp, pictures[number % len(pictures)], rng, SIZES[number % len(SIZES)])


def lay_out(name: str, stamp: Path, picture: Path, rng: np.random.Generator, size: tuple[int, int]) -> Composite:
    """A cut-out on a part of a picture, where and how large as drawn."""
    width, height = size
    background = part(picture, rng, width, height)
    colours, alpha = _resized(_read(stamp), rng, width, height)
    if rng.random() < 0.5:
        colours, alpha = colours[:, ::-1], alpha[:, ::-1]
    tall, wide = alpha.shape
    left = int(rng.integers(width - wide + 1))
    top = int((height - tall) * rng.uniform(0.3, 1))
    place = (slice(top, top + tall), slice(left, left + wide))
    canvas, mask = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    canvas[place], mask[place] = colours, alpha
    return mixed(name, canvas, mask, background, background[place])


def mixed(
    name: str,
    foreground: npt.NDArray[np.float32],
    alpha: npt.NDArray[np.float32],
    background: Pixels,
    surroundings: Pixels,
) -> Composite:
    """Colours (H, W, 3) and alpha (H, W), in 0..1, over a background; some of the surroundings' light falls on them."""
    light = surroundings.mean((0, 1)) / 255 - np.average(foreground.reshape(-1, 3), 0, alpha.ravel())
    lit = np.clip(foreground + _LIT * light.astype(np.float32), 0, 1)
    photo = alpha[..., None] * lit + (1 - alpha[..., None]) * background * np.float32(1 / 255)
    return Composite(name, _8_bit(photo), _8_bit(alpha), _8_bit(lit), background)


@lru_cache(maxsize=1)
def backgrounds(folder: Path) -> tuple[Path, ...]:
    """The pictures that cut-outs are laid over."""
    return tuple(
        fetch_package(package, folder) / inside / f"{name}.jpg"
        for package, (inside, listed) in _BACKGROUNDS.items()
        for name in listed.split()
    )


def part(path: Path, rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A part of a picture, which and how large as drawn, (height, width, 3)."""
    with Image.open(path) as image:
        whole = max(width / image.width, height / image.height)
        image.draft("RGB", (round(image.width * whole), round(image.height * whole)))
        scale = max(width / image.width, height / image.height) * rng.uniform(1.0, 1.5)
        wide, tall = width / scale, height / scale
        left, top = rng.uniform(0, image.width - wide), rng.uniform(0, image.height - tall)
        box = (left, top, min(left + wide, image.width), min(top + tall, image.height))
        return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS, box))


def _read(path: Path) -> npt.NDArray[np.float32]:
    with Image.open(path) as image:
        picture = image.convert("RGBA")
    return np.asarray(picture.crop(picture.getchannel("A").getbbox()), np.float32) * np.float32(1 / 255)


def _resized(
    stamp: npt.NDArray[np.float32], rng: np.random.Generator, width: int, height: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Colours (h, w, 3) and alpha (h, w) at a size drawn for a photo; resized as products, so that no edge bleeds."""
    tall, wide, _ = stamp.shape
    scale = min(rng.uniform(*_SHARE) * min(width / wide, height / tall), _ENLARGED)
    size = (max(1, round(wide * scale)), max(1, round(tall * scale)))
    planes = [*(stamp[..., channel] * stamp[..., 3] for channel in range(3)), stamp[..., 3]]
    *products, alpha = (
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, Image.Resampling.BICUBIC))
        for plane in planes
    )
    alpha = np.clip(alpha, 0, 1)
    return np.clip(np.stack(products, -1) / np.maximum(alpha[..., None], 1e-4), 0, 1), alpha


def _8_bit(values: npt.NDArray[np.float32]) -> Pixels:
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
