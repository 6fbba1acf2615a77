"""Masks on real photos with their truth: ours beside plain networks, and what each step of ours is worth."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from cyclorama import Hints, InvalidOptions, NoSubject, find_subject, load_photo
from cyclorama.benchmarks.cutouts import unknown_band
from cyclorama.benchmarks.masks import plain
from cyclorama.benchmarks.strokes import corrections
from cyclorama.engine.arrays import Array, Pixels, reduced_size
from cyclorama.engine.options import MaskModel
from cyclorama.engine.photo import load_mask

Progress = Callable[[str], None]
Numbers = npt.NDArray[np.float64]

_WORST = 5
_HURT = (0.01, 0.02)  # of IoU: worse than the plain network by more than this
_RESAMPLES = 2000  # of the bootstrap
_ENDINGS = (".jpg", ".jpeg", ".webp")
_DABS, _DABS_IN_BOX = 5, 2  # simulated strokes, see `cyclorama.benchmarks.strokes`
_SHOWN = 6  # photos in each part of the sheet
_SIDE = 240  # of a picture in it


@dataclass(frozen=True, eq=False)
class Truth:
    """A photo, (H, W, 3), and its subject's alpha, (H, W); group: what its name begins with."""

    name: str
    rgb: Pixels
    alpha: Pixels

    @property
    def group(self) -> str:
        """`cat` of `cat-0560`."""
        return self.name.partition("-")[0]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width, height close around the subject."""
        rows, columns = (np.flatnonzero((self.alpha > 127).any(axis)) for axis in (1, 0))
        x, y = int(columns[0]), int(rows[0])
        return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y


def truths(folder: Path) -> Iterator[Truth]:
    """NAME.jpg with NAME.png, white over the subject, by name. Raises InvalidOptions where there are none."""
    photos = sorted(path for path in folder.glob("*") if path.suffix.lower() in _ENDINGS)
    pairs = [(photo, photo.with_suffix(".png")) for photo in photos if photo.with_suffix(".png").is_file()]
    if not pairs:
        raise InvalidOptions(f"{folder} has no NAME.jpg beside a NAME.png that is white over the subject")
    for photo, mask in pairs:
        rgb = load_photo(photo).rgb
        yield Truth(photo.stem, rgb, load_mask(mask, (rgb.shape[1], rgb.shape[0])))


@contextmanager
def without(step: str) -> Iterator[None]:
    """Ours with one of its steps left out."""
    where = "cyclorama.engine.matting"
    patches: dict[str, tuple[str, Any]] = {
        "choice among parts": (f"{where}.looks.chosen_of", lambda parts, *_: parts),
        "second look": (f"{where}.looks._WHOLE", 0.0),
        "walk": (f"{where}.random_walk.settle", lambda rgb, confidence, *_: confidence),
        "guided filter": (f"{where}.subject.enlarge_along_edges", _enlarged),
    }
    with patch(*patches[step]):
        yield


STEPS = ("choice among parts", "second look", "walk", "guided filter")


def _enlarged(alpha: Array, rgb: Pixels) -> Pixels:
    size = (rgb.shape[1], rgb.shape[0])
    smooth = np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BICUBIC))
    return (smooth.clip(0, 1) * 255).astype(np.uint8)


def measure_photos(
    folder: Path, mask_models: Sequence[MaskModel], progress: Progress
) -> tuple[dict[str, Any], Image.Image]:
    """A row for each network and way of using it, and a sheet of the first network's worst, most helped and most hurt.

    Each row: means of MAE, IoU, recall, MAE in the uncertain edge region (band) and S-measure (Fan et al., 2017), the
    mean IoU of the worst five, the share of photos whose IoU is lower than the plain network's by more than .01 and
    .02, the mean difference of IoU with its 95 % bootstrap interval, and the median of seconds (None after dabs, for a
    photo's are done in one piece); `groups` has the IoU by the beginning of names. Raises what a mask model raises.
    """
    photos = list(truths(folder))
    rows: list[dict[str, Any]] = []
    sheet = Image.new("RGB", (1, 1))
    for model in mask_models:
        ways: dict[str, Callable[[Truth], Pixels]] = {
            "plain": lambda truth, model=model: plain(truth.rgb, model),  # type: ignore[misc]
            "ours": lambda truth, model=model: find_subject(truth.rgb, model),  # type: ignore[misc]
            "ours, with a box": lambda truth, model=model: find_subject(truth.rgb, model, Hints(truth.box)),  # type: ignore[misc]
            **{f"ours, no {step}": _leaving_out(step, model) for step in STEPS},
        }
        ways["plain"](photos[0])  # loaded, and warm
        figures: dict[str, Numbers] = {}
        kept: dict[str, list[Pixels]] = {"plain": [], "ours": []}
        for way, find in ways.items():
            measured = []
            for number, truth in enumerate(photos):
                progress(f"{model}, {way}: {number + 1} of {len(photos)}")
                start = time.perf_counter()
                try:
                    alpha = find(truth)
                except NoSubject:
                    alpha = np.zeros(truth.alpha.shape, np.uint8)
                seconds = time.perf_counter() - start
                measured.append([*errors(truth.alpha, alpha).values(), seconds])
                if way in kept:
                    kept[way].append(alpha)
            figures[way] = np.array(measured)
            rows.append(_row(model, way, photos, figures[way], figures["plain"]))
        for way, after in _dabs(model).items():
            progress(f"{model}, {way}")
            figures[way] = np.array([[*after(truth), np.nan] for truth in photos])
            rows.append({**_row(model, way, photos, figures[way], figures["plain"]), "seconds": None})
        if model == mask_models[0]:
            sheet = _sheet(photos, kept["plain"], kept["ours"], figures["plain"][:, 1], figures["ours"][:, 1])
    return {"folder": folder.name, "photos": len(photos), "rows": rows}, sheet


def _leaving_out(step: str, model: MaskModel) -> Callable[[Truth], Pixels]:
    def find(truth: Truth) -> Pixels:
        with without(step):
            return find_subject(truth.rgb, model)

    return find


def _dabs(model: MaskModel) -> dict[str, Callable[[Truth], Sequence[float]]]:
    """The errors of ours after each of some dabs, without a box and with one; each photo is dabbed once for all."""

    @cache
    def without_box(truth: Truth) -> list[Sequence[float]]:
        alphas = corrections(truth.rgb, truth.alpha, model, _DABS)
        return [list(errors(truth.alpha, alpha).values()) for alpha in alphas]

    @cache
    def with_box(truth: Truth) -> list[Sequence[float]]:
        alphas = corrections(truth.rgb, truth.alpha, model, _DABS_IN_BOX, Hints(truth.box))
        return [list(errors(truth.alpha, alpha).values()) for alpha in alphas]

    ways: dict[str, Callable[[Truth], Sequence[float]]] = {}
    for known, dabbed, most in (("ours", without_box, _DABS), ("ours, with a box", with_box, _DABS_IN_BOX)):
        for count in range(1, most + 1):
            name = f"{known}, {count} dab{'s' * (count > 1)}"
            ways[name] = lambda truth, dabbed=dabbed, count=count: dabbed(truth)[count]  # type: ignore[misc]
    return ways


def errors(truth: Pixels, alpha: Pixels) -> dict[str, float]:
    """How far an alpha is from the truth, both (H, W): see `measure_photos`."""
    off = np.abs(alpha.astype(np.float32) - truth) / 255
    ours, true = alpha > 127, truth > 127
    return {
        "mae": float(off.mean()),
        "iou": float((ours & true).sum() / max(1, (ours | true).sum())),
        "recall": float((ours & true).sum() / max(1, true.sum())),
        "band": float(off[unknown_band(truth)].mean()),
        "s_measure": s_measure(truth, alpha),
    }


def s_measure(truth: Pixels, alpha: Pixels) -> float:
    """Structure measure, 0 to 1: Fan et al., "Structure-measure: A New Way to Evaluate Foreground Maps" (2017)."""
    true, found = truth > 127, alpha.astype(np.float64) / 255
    share = float(true.mean())
    if share in (0, 1):
        return float(1 - found.mean() if share == 0 else found.mean())
    of_objects = share * _object_score(found[true]) + (1 - share) * _object_score(1 - found[~true])
    weights_y, weights_x = true.sum(1), true.sum(0)
    y = round(float((weights_y * np.arange(len(weights_y))).sum() / weights_y.sum())) + 1
    x = round(float((weights_x * np.arange(len(weights_x))).sum() / weights_x.sum())) + 1
    of_regions = 0.0
    for down in (slice(0, y), slice(y, None)):
        for across in (slice(0, x), slice(x, None)):
            region = true[down, across]
            if region.size:
                of_regions += region.size / true.size * _similarity(found[down, across], region.astype(np.float64))
    return max(0.0, 0.5 * of_objects + 0.5 * of_regions)


def _object_score(values: Numbers) -> float:
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + spread + 1e-12)


def _similarity(found: Numbers, true: Numbers) -> float:
    """SSIM of two regions as one window."""
    x, y, count = float(found.mean()), float(true.mean()), max(1, found.size - 1)
    variance_x, variance_y = float(((found - x) ** 2).sum() / count), float(((true - y) ** 2).sum() / count)
    covariance = float(((found - x) * (true - y)).sum() / count)
    above, below = 4 * x * y * covariance, (x * x + y * y) * (variance_x + variance_y)
    return above / (below + 1e-12) if above else float(below == 0)


def _row(model: MaskModel, way: str, photos: Sequence[Truth], figures: Numbers, base: Numbers) -> dict[str, Any]:
    iou, difference = figures[:, 1], figures[:, 1] - base[:, 1]
    rng = np.random.default_rng(0)
    means = difference[rng.integers(0, len(difference), (_RESAMPLES, len(difference)))].mean(1)
    groups = sorted({truth.group for truth in photos})
    return {
        "model": str(model),
        "way": way,
        **dict(zip(("mae", "iou", "recall", "band", "s_measure"), figures[:, :5].mean(0).tolist(), strict=True)),
        "worst_five": float(np.sort(iou)[:_WORST].mean()),
        **{f"hurt_{limit}": float((difference < -limit).mean()) for limit in _HURT},
        "difference": float(difference.mean()),
        "interval": np.quantile(means, (0.025, 0.975)).tolist(),
        "seconds": statistics.median(figures[:, 5].tolist()),
        "groups": {
            group: float(iou[[truth.group == group for truth in photos]].mean()) for group in groups
        },
        "hurt": [
            truth.name for truth, change in zip(photos, difference, strict=True) if change < -_HURT[0]
        ],
    }  # fmt: skip


def _sheet(
    photos: Sequence[Truth], plain_alphas: Sequence[Pixels], our_alphas: Sequence[Pixels], base: Numbers, ours: Numbers
) -> Image.Image:
    """Photo with the truth's outline, the plain network's mask, ours: worst, most helped, most hurt, in columns."""
    change = ours - base
    parts = (("worst", np.argsort(ours)), ("most helped", np.argsort(-change)), ("most hurt", np.argsort(change)))
    columns = []
    for title, order in parts:
        rows = [
            _three(
                photos[i], plain_alphas[i], our_alphas[i], f"{title}: {photos[i].name} {base[i]:.2f} -> {ours[i]:.2f}"
            )
            for i in order[:_SHOWN]
        ]
        column = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
        top = 0
        for row in rows:
            column.paste(row, (0, top))
            top += row.height
        columns.append(column)
    sheet = Image.new(
        "RGB", (sum(column.width for column in columns), max(column.height for column in columns)), "white"
    )
    left = 0
    for column in columns:
        sheet.paste(column, (left, 0))
        left += column.width
    return sheet


def _three(truth: Truth, plain_alpha: Pixels, our_alpha: Pixels, caption: str) -> Image.Image:
    size = reduced_size(truth.rgb.shape[1], truth.rgb.shape[0], _SIDE)
    photo = Image.fromarray(truth.rgb).resize(size)
    outline = (
        Image.fromarray(truth.alpha).resize(size).filter(ImageFilter.FIND_EDGES).point(lambda value: value and 255)
    )
    photo.paste("red", mask=outline)
    row = Image.new("RGB", (3 * _SIDE + 12, size[1] + 18), "white")
    row.paste(photo, (0, 0))
    for place, alpha in enumerate((plain_alpha, our_alpha), 1):
        grey = Image.new("RGB", size, "#3060a0")
        grey.paste(Image.fromarray(truth.rgb).resize(size), mask=Image.fromarray(alpha).resize(size))
        row.paste(grey, (place * (_SIDE + 4), 0))
    ImageDraw.Draw(row).text((2, size[1] + 3), caption, fill="black")
    return row
