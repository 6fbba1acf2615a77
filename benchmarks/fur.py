"""Photos of fur, manes and feathers whose alpha is known: keyed on smooth backdrops, laid over other pictures.

The photographs are those of GCompris, in Debian's package `gcompris-qt-data`, fetched when first wanted and kept in
the local store; none are shipped. For each there is a silhouette beside this module: what the default mask network
found in the original, looked at; photos of which it was wrong were not taken. Near it the backdrop is filled in from
around, and alpha is how far a pixel has gone from the backdrop's colour to the subject's. The pictures are made of that
alpha, so that it is true of them however well it was keyed.

`python -m cyclorama.benchmarks.fur FOLDER` writes them as `cyclorama benchmark --masks --photos` reads them.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageFilter

from cyclorama.benchmarks.cutouts import Composite, backgrounds, mixed, part
from cyclorama.engine.arrays import Array, Mask
from cyclorama.engine.blur import box_mean
from cyclorama.engine.matting.regions import grown
from cyclorama.models.debian import fetch_package
from cyclorama.models.store import writable_home

_PACKAGE = "gcompris-qt-data"
_SILHOUETTES = Path(__file__).parent / "silhouettes"
_WIDTH = 960  # of the photo as it is keyed
_REACHES = (4, 12, 36, 100)  # windows that colours are filled in from, narrow to wide
_FAINTEST, _FULLEST = 0.2, 0.85  # of the way from backdrop to subject: noise below, the subject's own shades above
_LEAST_CONTRAST = 0.15  # of colours in 0..1
_RIM = 0.8  # alpha of a hair as far from the backdrop as the subject, in whatever direction: light shines through hair
_BLURRED = 0.008  # sigma of every second background, of the longer side


@dataclass(frozen=True)
class _Keyed:
    """inner, outer: pixels that the unknown reaches into and out of the silhouette.

    faint: inside it, what is nearer to the backdrop than that is unknown as well.  window: left, top, right, bottom
    of the photo, in shares.
    """

    file: str
    inner: int
    outer: int
    faint: float = 0
    window: tuple[float, float, float, float] = (0, 0, 1, 1)


_ERASE = "erase:gcompris/src/activities/erase/resource"
_FARM = "explore_farm_animals:gcompris/src/activities/explore_farm_animals/resource/animals"
_WORLD = "explore_world_animals:gcompris/src/activities/explore_world_animals/resource/animals"
_PHOTOS = {
    "alpaca": _Keyed(f"{_ERASE}/alpaca", 14, 18),
    "butterfly": _Keyed(f"{_ERASE}/butterfly", 5, 8),
    "camels": _Keyed(f"{_ERASE}/camels", 6, 9, window=(0, 0, 1, 0.85)),
    "cat": _Keyed(f"{_FARM}/cat", 8, 14),
    "duck": _Keyed(f"{_FARM}/duck", 6, 9, window=(0, 0, 1, 0.8)),
    "flying_fox": _Keyed(f"{_ERASE}/flying_fox", 5, 8),
    "gibbon": _Keyed(f"{_ERASE}/gibbon", 6, 10),
    "giraffe": _Keyed(f"{_ERASE}/giraffe", 6, 10),
    "goat": _Keyed(f"{_ERASE}/goat", 8, 12, window=(0, 0, 1, 0.7)),
    "gosling": _Keyed(f"{_ERASE}/gosling", 6, 10, window=(0, 0, 1, 0.72)),
    "heron": _Keyed(f"{_ERASE}/heron", 6, 9),
    "horse": _Keyed(f"{_ERASE}/horse", 10, 14, window=(0.2, 0, 0.8, 0.62)),
    "kingfisher": _Keyed(f"{_ERASE}/kingfisher", 6, 9, window=(0, 0, 1, 0.66)),
    "koala": _Keyed(f"{_WORLD}/koala", 8, 12, window=(0, 0.1, 1, 0.7)),
    "long_nosed_monkey": _Keyed(f"{_ERASE}/long_nosed_monkey", 10, 14),
    "macaque": _Keyed(f"{_ERASE}/macaque", 20, 26, faint=0.12),
    "meerkats": _Keyed(f"{_ERASE}/meerkats", 8, 10, window=(0, 0, 1, 0.7)),
    "northern_harrier": _Keyed(f"{_ERASE}/northern_harrier", 8, 10),
    "nubian_ibex": _Keyed(f"{_ERASE}/nubian_ibex", 6, 10, window=(0.3, 0, 1, 0.85)),
    "panda": _Keyed(f"{_WORLD}/panda", 8, 12, window=(0, 0, 1, 0.8)),
    "red_panda": _Keyed(f"{_ERASE}/red_panda", 10, 14),
    "spoonbills": _Keyed(f"{_ERASE}/spoonbills", 5, 8, window=(0, 0, 1, 0.75)),
}


def names() -> list[str]:
    """Each photograph twice: over a sharp picture and over a blurred one."""
    return [f"{name}/{kind}" for name in _PHOTOS for kind in ("sharp", "blurred")]


def is_for_tuning(name: str) -> bool:
    """Whether rules may be chosen on it: half of the photographs, both pictures of each."""
    return hashlib.md5(name.partition("/")[0].encode()).digest()[-1] % 2 == 0


def load(name: str, store: Path | None = None) -> Composite:
    """One of `names()`, always the same. store: where packages are kept. Raises DownloadFailed."""
    folder = store or writable_home() / "benchmark"
    photograph, kind = name.split("/")
    foreground, alpha = _keyed(photograph, folder)
    pictures = backgrounds(folder)
    rng = np.random.default_rng([2026, names().index(name)])
    height, width = alpha.shape
    behind = part(pictures[int(rng.integers(len(pictures)))], rng, width, height)
    if kind == "blurred":
        image = Image.fromarray(behind)
        behind = np.asarray(image.filter(ImageFilter.GaussianBlur(_BLURRED * max(height, width))))
    return mixed(name, foreground, alpha, behind, behind)


def _keyed(name: str, folder: Path) -> tuple[Array, Array]:
    """The subject's colours (H, W, 3) and alpha (H, W), both in 0..1."""
    photo = _PHOTOS[name]
    resource, _, inside = photo.file.partition(":")
    root = fetch_package(_PACKAGE, folder)
    picture = _resource(root / f"usr/share/gcompris-qt/rcc/{resource}.rcc", f"{inside}.webp", folder / _PACKAGE)
    with Image.open(picture) as image:
        size = (_WIDTH, round(image.height * _WIDTH / image.width))
        rgb = np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS), np.float32) * np.float32(1 / 255)
    with Image.open(_SILHOUETTES / f"{name}.png") as image:
        silhouette = np.asarray(image.convert("L")) > 127
    left, top, right, bottom = (round(share * size[axis % 2]) for axis, share in enumerate(photo.window))
    rgb, silhouette = rgb[top:bottom, left:right], silhouette[top:bottom, left:right]
    certain, outside = ~grown(~silhouette, photo.inner), ~grown(silhouette, photo.outer)
    backdrop = np.where(outside[..., None], rgb, _filled_in(rgb, outside))
    if photo.faint:
        near = np.linalg.norm(rgb - backdrop, axis=-1) < photo.faint
        certain &= ~grown(~silhouette, 3 * photo.inner) | ~near
    inner = _filled_in(rgb, certain)
    way, gone = inner - backdrop, rgb - backdrop
    along = (gone * way).sum(-1) / np.maximum((way * way).sum(-1), 0.01)
    away = np.linalg.norm(gone, axis=-1) / np.maximum(np.linalg.norm(way, axis=-1), _LEAST_CONTRAST)
    alpha = np.clip((np.maximum(along, _RIM * away) - _FAINTEST) / (_FULLEST - _FAINTEST), 0, 1)
    alpha = np.where(certain, 1, np.where(outside, 0, alpha))
    own = np.clip((rgb - (1 - alpha[..., None]) * backdrop) / np.maximum(alpha, 0.05)[..., None], 0, 1)
    return np.where(alpha[..., None] < 0.05, inner, own).astype(np.float32), alpha.astype(np.float32)


def _filled_in(rgb: Array, where: Mask) -> Array:
    """Colours everywhere, from those where they are known: the nearest ones count, blurred."""
    known = where.astype(np.float32)
    planes = np.concatenate([(rgb * known[..., None]).transpose(2, 0, 1), known[None]])
    result, have = np.zeros(rgb.shape, np.float32), np.zeros(known.shape, np.float32)
    for reach in _REACHES:
        *colours, weight = box_mean(box_mean(planes, reach), reach)
        take = np.clip(6 * weight, 0, 1) * (1 - have)
        result += take[..., None] * np.stack(colours, -1) / np.maximum(weight, 1e-6)[..., None]
        have += take
    return np.asarray(result / np.maximum(have, 1e-6)[..., None], np.float32)


def _resource(archive: Path, inside: str, folder: Path) -> Path:
    """A file of one of Qt's resource archives, as a file in a folder."""
    target = folder / "unpacked" / archive.stem / Path(inside).name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".part")
        unfinished.write_bytes(_read_resource(archive.read_bytes(), inside))
        unfinished.replace(target)
    return target


def _read_resource(data: bytes, inside: str) -> bytes:
    """Format: `qresource.cpp` of Qt 5: a tree of nodes, names in UTF-16, contents with their length before them."""
    version, tree, contents, names_at = struct.unpack(">4I", data[4:20])
    step = 14 if version < 2 else 22

    def node(number: int) -> tuple[str, int, int, int]:
        name_at, flags, first, second = struct.unpack_from(">IHII", data, tree + number * step)
        (length,) = struct.unpack_from(">H", data, names_at + name_at)
        start = names_at + name_at + 6
        return data[start : start + 2 * length].decode("utf-16-be"), flags, first, second

    _, flags, count, first = node(0)
    for wanted in inside.split("/"):
        found = next(node(first + child) for child in range(count) if node(first + child)[0] == wanted)
        _, flags, count, first = found
    (length,) = struct.unpack_from(">I", data, contents + first)
    body = data[contents + first + 4 : contents + first + 4 + length]
    return zlib.decompress(body[4:]) if flags & 1 else body


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(folder: Path) -> None:
    """The pictures with their alpha: NAME.jpg and NAME.png, in FOLDER/tuning and FOLDER/reporting."""
    for name in names():
        picture = load(name)
        target = folder / ("tuning" if is_for_tuning(name) else "reporting") / name.replace("/", "-")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.photo).save(target.with_suffix(".jpg"), quality=95, subsampling=0)
        Image.fromarray(picture.alpha).save(target.with_suffix(".png"))
    click.echo(folder)


if __name__ == "__main__":
    main()
