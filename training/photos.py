"""Real photographs for training: crops of them, softly out of focus, each with a caption.

Two sources, and nothing under a licence that asks more than a credit:

* The panoramas of the npm package `@pmndrs/assets` 1.7.0 (CC0 1.0): Poly Haven's HDRIs, made smaller.
* Photographs of Debian's package `lomiri-wallpapers-16.04`, each under CC0 or CC BY by the package's copyright file.

`CREDITS.md` beside this module names every picture's author and licence. `fetch` needs `npm`, `apt-get` with
Debian's package lists, `dpkg-deb`, and the Python package `OpenEXR`; `crop` needs none of them.
"""

from __future__ import annotations

import base64
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from cyclorama.models.debian import fetch_package
from cyclorama.models.errors import DownloadFailed

PANORAMA_SHAPE = (512, 1024, 3)
LONG_SIDE = 1280
HELD_OUT_TURN = (4 / 6, 5 / 6)
"""The part of a panorama, in turns from its left edge, that only held-out crops look at."""
HELD_OUT_WIDTH = (2 / 3, 1.0)
"""The part of a wallpaper, in widths from its left edge, that only held-out crops take."""

_NPM = "@pmndrs/assets@1.7.0"
_LOMIRI = "lomiri-wallpapers-16.04"
_NATIVE_WIDTH = 512  # of the panoramas as they are shipped
_KEY = {"night": 0.11, "dawn": 0.8, "venice": 0.8, "studio": 0.7, "bridge": 1.2, "forest": 0.75, "warehouse": 0.8}
"""How much light a panorama's crops get, where it is not 1: a night has to stay one."""
_WHITE = {"night": (0.6, 0.85, 1.4)}
"""White balance, red to blue, where the panorama's own is off: a town's lamps had made this night brown."""


@dataclass(frozen=True)
class Photo:
    """A source picture: its name in the cache, what it shows, and who made it."""

    name: str
    scene: str
    captions: tuple[str, ...]
    author: str
    licence: str
    panorama: bool


def _panorama(name: str, scene: str, *captions: str) -> Photo:
    return Photo(name, scene, captions, "Poly Haven (packed by Poimandres)", "CC0-1.0", panorama=True)


def _lomiri(name: str, scene: str, author: str, licence: str, *captions: str) -> Photo:
    return Photo(name, scene, captions, author, licence, panorama=False)


PHOTOS: tuple[Photo, ...] = (
    _panorama(
        "apartment",
        "livingroom",
        "an empty apartment with a wooden floor",
        "a bright empty living room",
        "living room with cream walls",
        "a sunlit room with a parquet floor",
        "home interior, warm daylight",
    ),
    _panorama(
        "bridge",
        "bridge",
        "a covered footbridge with glass walls",
        "a modern white walkway",
        "inside a glass skywalk",
        "a bright futuristic corridor",
    ),
    _panorama(
        "city",
        "street",
        "a city square in daylight",
        "a wide city street with office towers",
        "modern buildings around an empty square",
        "downtown on a cloudy day",
        "a city street",
    ),
    _panorama(
        "dawn",
        "desert",
        "rocky hills at dawn",
        "a dry rocky landscape under a purple sky",
        "desert hills before sunrise",
        "barren hills at twilight, lilac sky",
        "a stony desert at dawn",
    ),
    _panorama(
        "esplanade",
        "mall",
        "a shopping mall",
        "inside a shopping centre",
        "a large bright mall with shops",
        "an elegant shopping arcade",
    ),
    _panorama(
        "forest",
        "forest",
        "a pine forest",
        "a forest with tall trees and sunlight",
        "sunny woods in summer",
        "sunlight between the trees",
        "a forest floor with dry leaves and tall trunks",
    ),
    _panorama(
        "hall",
        "hall",
        "a ballroom with chandeliers",
        "a large event hall with a dark ceiling",
        "a wedding hall with white curtains",
        "an empty banquet hall",
    ),
    _panorama(
        "lab",
        "lab",
        "an old laboratory with green walls",
        "a machine room painted in pale green",
        "an engineering lab with machines",
        "an old green factory hall",
    ),
    _panorama(
        "lobby",
        "lobby",
        "a museum lobby with a wooden floor",
        "a bright modern lobby",
        "an entrance hall with benches",
        "a reception area in warm light",
    ),
    _panorama(
        "night",
        "stars",
        "a starry night over a field",
        "stars over the savanna",
        "the night sky above a dry field",
        "a field at night under the stars",
        "a night landscape with trees on the horizon",
    ),
    _panorama(
        "park",
        "meadow",
        "a green meadow under a blue sky",
        "a large lawn in a park on a sunny day",
        "a grassy field in summer",
        "green grass and blue sky",
        "a meadow",
    ),
    _panorama(
        "sky",
        "sky",
        "a blue sky with white clouds",
        "clouds above a misty horizon",
        "clouds and haze, seen from above",
        "a cloudy sky in daylight",
        "sky",
    ),
    _panorama(
        "studio",
        "studio",
        "a photo studio",
        "a photo studio with lights",
        "a photography studio with dark curtains",
        "a dark studio with a white floor",
    ),
    _panorama(
        "sunrise",
        "meadow",
        "a meadow at sunrise",
        "a misty field in the morning",
        "morning light over a grassy field",
        "a green field with fog at dawn",
        "a country meadow in early morning sun",
    ),
    _panorama(
        "sunset",
        "street",
        "an old stone square at sunset",
        "a piazza in the evening",
        "venice at sunset",
        "an italian square at dusk",
        "a paved square by the sea, evening light",
    ),
    _panorama(
        "venice",
        "waterfront",
        "a waterfront at dusk",
        "a promenade by the sea after sunset",
        "a quay at dawn, blue sky",
        "a stone waterfront in the blue hour",
    ),
    _panorama(
        "warehouse",
        "warehouse",
        "an empty warehouse",
        "a large grey industrial hall",
        "an abandoned warehouse with a concrete floor",
        "an underground storage hall with lamps",
    ),
    _panorama(
        "workshop",
        "workshop",
        "a workshop with yellow cranes",
        "an industrial workshop with a green floor",
        "a bright factory hall",
        "inside a factory with machines",
    ),
    _lomiri(
        "seeding_by_Clements_Engelhardt.jpg",
        "meadow",
        "Clemens Engelhardt",
        "CC0-1.0",
        "dandelions in a meadow",
        "dandelion clocks in evening light",
        "a summer meadow at sunset",
        "a dark green meadow with dandelions, backlit",
    ),
    _lomiri(
        "aitzgorri_by_Aitzol_Berasategi.jpg",
        "mountain",
        "Aitzol Berasategi",
        "CC-BY-4.0",
        "a mountain with autumn woods and a green meadow",
        "mountains in autumn",
        "a grey mountain ridge above autumn trees",
        "a mountain landscape in october",
    ),
    _lomiri(
        "sunset_by_Aitzol_Berasategi.jpg",
        "mountain",
        "Aitzol Berasategi",
        "CC-BY-4.0",
        "sunset over the mountains",
        "the view from a mountain top at sunset",
        "the sun setting behind distant hills",
        "mountains in evening sun",
    ),
    _lomiri(
        "picosdeeuropa_by_Aitzol_Berasategi.jpg",
        "mountain",
        "Aitzol Berasategi",
        "CC-BY-4.0",
        "rocky mountains with patches of snow",
        "a mountain trail under a blue sky",
        "a path across an alpine meadow",
        "high mountains in summer",
    ),
    _lomiri(
        "life_by_Aitzol_Berasategi.jpg",
        "forest",
        "Aitzol Berasategi",
        "CC-BY-4.0",
        "a stream in a forest",
        "a small waterfall between mossy rocks",
        "a creek in the woods",
        "a shady forest with a brook",
    ),
)


def fetch(cache: Path) -> None:
    """Fetch and decode every picture that the folder lacks: one .npy each, so a second call does nothing.

    Panoramas are stored as float16 (512, 1024, 3), linear light with its median at 1, from 0 to some hundred;
    wallpapers as uint8 (H, W, 3) sRGB, long side at most 1280. Raises DownloadFailed.
    """
    cache.mkdir(parents=True, exist_ok=True)
    missing = {photo.name: photo for photo in PHOTOS if not _stored(photo, cache).is_file()}
    for source, photos in (
        (_npm_pictures, {n for n, p in missing.items() if p.panorama}),
        (_lomiri_pictures, {n for n, p in missing.items() if not p.panorama}),
    ):
        if not photos:
            continue
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as folder:
            for name, data in source(Path(folder)):
                if name in photos:
                    decoded = _decode_panorama(data) if missing[name].panorama else _decode_wallpaper(data)
                    _save(_stored(missing[name], cache), decoded)
                    photos.discard(name)
        if photos:
            raise DownloadFailed(f"the package that was fetched has no picture {', '.join(sorted(photos))}")


def crop(
    photo: Photo, cache: Path, rng: np.random.Generator, height: int, width: int, held_out: bool = False
) -> tuple[NDArray[np.float32], str]:
    """One random crop of a fetched picture, defocused, and one of its captions.

    The crop is (height, width, 3) float32 sRGB in [0, 1], mirrored half the time. Its defocus is a Gaussian of
    0.3 to 2.5 hundred-and-twenty-eighths of the short side. With `held_out` a panorama's crop lies in
    HELD_OUT_TURN and a wallpaper's lies in HELD_OUT_WIDTH; without it neither overlaps that part.
    """
    sigma = float(rng.uniform(0.3, 2.5)) * min(height, width) / 128
    pixels = _load(_stored(photo, cache))
    if photo.panorama:
        view = _look(pixels, rng, height, width, held_out)
        # Light is what a lens smears, so a lamp stays bright when it goes out of focus.
        image = _develop(_defocus(view, sigma), rng, photo.name)
    else:
        image = _defocus(_cut(pixels, rng, height, width, held_out), sigma)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    caption = photo.captions[int(rng.integers(len(photo.captions)))]
    return np.ascontiguousarray(np.clip(image, 0, 1), dtype=np.float32), caption


# --- from the packages to the cache


def _stored(photo: Photo, cache: Path) -> Path:
    return cache / f"{Path(photo.name).stem}.npy"


def _save(path: Path, array: NDArray[np.float16] | NDArray[np.uint8]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, array)
    partial.replace(path)


def _command(*words: str, folder: Path) -> bytes:
    try:
        return subprocess.run(words, cwd=folder, check=True, capture_output=True).stdout
    except FileNotFoundError as error:
        raise DownloadFailed(f"{words[0]} is needed to fetch the training pictures, and is not installed") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        raise DownloadFailed(f"{' '.join(words)} failed: {lines[-1] if lines else 'no message'}") from error


def _members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, file.read()


def _npm_pictures(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The panoramas of the npm package: name and EXR file."""
    _command("npm", "pack", "--silent", _NPM, folder=folder)
    for path, data in _members(next(folder.glob("*.tgz")).read_bytes()):
        if path.startswith("package/hdri/") and path.endswith(".exr.js"):
            encoded = data.partition(b"base64,")[2].rstrip(b"'\"`; \r\n")
            yield Path(path).name.removesuffix(".exr.js"), base64.b64decode(encoded)


def _lomiri_pictures(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of the Debian package: name without folder, and content. Nothing is installed."""
    for path in sorted(fetch_package(_LOMIRI, folder).rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()


def _decode_wallpaper(data: bytes) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    image.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS, reducing_gap=3)
    return np.asarray(image, dtype=np.uint8)


def _decode_panorama(data: bytes) -> NDArray[np.float16]:
    """An EXR file as float16 PANORAMA_SHAPE, linear light with its median at 1."""
    try:
        import OpenEXR
    except ImportError as error:
        raise DownloadFailed("the Python package OpenEXR is needed to decode the panoramas: pip install OpenEXR") from (
            error
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panorama.exr"
        path.write_bytes(data)
        with OpenEXR.File(str(path)) as file:
            light = np.array(file.channels()["RGB"].pixels, dtype=np.float32)
    return _enlarge(_mend(light / np.median(light))).astype(np.float16)


def _mend(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repair what the lossy packing did beside the sun and lamps: negative light, blocks of one wrong colour."""
    cap = 6 * float(np.percentile(light, 90))
    peak = light.max(axis=-1, keepdims=True)
    broken = (light < -0.05 * np.clip(peak, 0.2, cap)).any(axis=-1)
    whole = np.clip(np.where(peak > cap, cap, light), 0, cap)
    # The packing works in blocks of 8: the median has to look beyond one.
    beyond = ndimage.median_filter(whole, size=(13, 13, 1), mode="nearest")
    mended: NDArray[np.float32] = np.where(broken[..., None] & (peak <= cap), beyond, whole)
    return mended


def _enlarge(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Twice the size, smoothly: a straight-line interpolation of the small original would show."""
    margin = 8
    padded = np.pad(np.log1p(light), ((0, 0), (margin, margin), (0, 0)), mode="wrap")
    large = ndimage.zoom(padded, (2, 2, 1), order=3, mode="nearest", grid_mode=True)
    smooth: NDArray[np.float32] = np.maximum(np.expm1(large[:, 2 * margin : -2 * margin]), 0).astype(np.float32)
    return smooth


# --- from the cache to a crop


@lru_cache(maxsize=len(PHOTOS))
def _load(path: Path) -> NDArray[np.float32] | NDArray[np.uint8]:
    """A stored picture: float32 linear light of a panorama, uint8 sRGB of a wallpaper."""
    try:
        pixels = np.load(path)
    except FileNotFoundError as error:
        raise DownloadFailed(f"{path} is not there: fetch the training pictures first") from error
    array: NDArray[np.float32] | NDArray[np.uint8]
    array = pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    array.flags.writeable = False
    return array


def _look(
    light: NDArray[np.float32] | NDArray[np.uint8], rng: np.random.Generator, height: int, width: int, held_out: bool
) -> NDArray[np.float32]:
    """What a level camera inside a panorama sees: linear light (height, width, 3), long side 50 to 95 degrees."""
    rows, columns, _ = light.shape
    # A narrower view where all of it has to lie within the held-out sixth.
    field = np.radians(rng.uniform(25, 40) if held_out else rng.uniform(50, 95))
    pitch = rng.uniform(-0.08, 0.2)
    long = max(height, width)
    fine = max(1, int(np.ceil(_NATIVE_WIDTH * field / (2 * np.pi) / long)))
    half = np.tan(field / 2)
    x = ((np.arange(width * fine) + 0.5) * 2 / fine - width) * half / long
    y = (height - (np.arange(height * fine) + 0.5) * 2 / fine)[:, None] * half / long
    ahead = np.cos(pitch) - np.sin(pitch) * y
    longitude = np.arctan2(x, ahead)
    latitude = np.arctan2(np.cos(pitch) * y + np.sin(pitch), np.hypot(x, ahead))

    start, stop = (2 * np.pi * turn for turn in HELD_OUT_TURN)
    reach = float(np.abs(longitude).max()) + 2 * np.pi / columns
    first, last = (start, stop) if held_out else (stop, start + 2 * np.pi)
    yaw = rng.uniform(first + reach, last - reach)
    u = ((yaw + longitude) / (2 * np.pi) % 1 * columns - 0.5).ravel()
    v = np.clip((0.5 - latitude / np.pi) * rows - 0.5, 0, rows - 1).ravel()
    view = _sample(light, v, u).reshape(height, fine, width, fine, 3)
    seen: NDArray[np.float32] = view.mean(axis=(1, 3), dtype=np.float32)
    return seen


def _sample(
    light: NDArray[np.float32] | NDArray[np.uint8], v: NDArray[np.float64], u: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Bilinear (N, 3) at rows v within the picture and columns u that run on around it."""
    rows, columns, _ = light.shape
    top, left = np.floor(v).astype(np.intp), np.floor(u).astype(np.intp)
    down, across = (v - top).astype(np.float32)[:, None], (u - left).astype(np.float32)[:, None]
    bottom, right = np.minimum(top + 1, rows - 1) * columns, (left + 1) % columns
    top, left = top * columns, left % columns
    flat = light.reshape(-1, 3)
    upper = flat[top + left] * (1 - across) + flat[top + right] * across
    lower = flat[bottom + left] * (1 - across) + flat[bottom + right] * across
    mixed: NDArray[np.float32] = upper * (1 - down) + lower * down
    return mixed


def _defocus(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=3)
    return blurred


def _develop(view: NDArray[np.float32], rng: np.random.Generator, name: str) -> NDArray[np.float32]:
    """Linear light as a camera would show it: exposed for the view, its highlights rolled off, sRGB in [0, 1]."""
    # Two thirds for the view and one for the whole place (whose median is 1), so that a dark corner stays one.
    brightness = np.exp(0.65 * np.log(view.mean(axis=-1) + 1e-3).mean())
    exposed = view * np.float32(_KEY.get(name, 1.0) * rng.uniform(0.24, 0.42) / brightness)
    if name in _WHITE:
        exposed = exposed * np.array(_WHITE[name], np.float32)
    film = exposed * (2.51 * exposed + 0.03) / (exposed * (2.43 * exposed + 0.59) + 0.14)
    return np.asarray(np.clip(film, 0, 1) ** np.float32(1 / 2.2), dtype=np.float32)


def _cut(
    pixels: NDArray[np.float32] | NDArray[np.uint8], rng: np.random.Generator, height: int, width: int, held_out: bool
) -> NDArray[np.float32]:
    """A random rectangle of a wallpaper as (height, width, 3) sRGB in [0, 1].

    Its short side is at least half the picture's, or as much as the allowed part holds.
    """
    rows, columns, _ = pixels.shape
    start, stop = (round(columns * edge) for edge in HELD_OUT_WIDTH)
    first, last = (start, stop) if held_out else (0, start)
    most = min(rows / height, (last - first) / width)
    least = min(most, min(rows, columns) / 2 / min(height, width))
    scale = rng.uniform(least, most)
    tall, wide = min(rows, round(height * scale)), min(last - first, round(width * scale))
    y, x = int(rng.integers(rows - tall + 1)), int(rng.integers(first, last - wide + 1))
    part = Image.fromarray(np.ascontiguousarray(pixels[y : y + tall, x : x + wide], dtype=np.uint8))
    image = np.asarray(part.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32)
    return image * np.float32(1 / 255)
