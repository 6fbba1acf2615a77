"""Who is the subject? A mask network's soft alpha, with holes filled and specks dropped.

`u2netp` (Qin et al., 2020, "U²-Net") is shipped and runs on our own session. Every other name is a
model of rembg's, which is imported only when one is asked for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.backends import open_session
from engine.errors import BackendUnavailable, InvalidOptions, NoSubject
from engine.machine import available_cores
from engine.notes import note
from engine.photo import Photo, Pixels, Source, load_mask
from models.catalogue import U2NETP_FILE

DEFAULT_MASK_MODEL = "u2netp"

_CERTAIN = 0.5  # of the network's own confidence, anywhere, before its output is stretched
_LEAST_SHARE, _MOST_SHARE = 0.0005, 0.995  # of the photo's area
_SPECK_SHARE = 0.01  # of the largest part's area
_HOLE_SHARE = 0.005  # of the subject's area; a cup's handle leaves more than that open
_LEVELS = np.clip(np.round((np.arange(256) / 255 - 0.05) / 0.9 * 255), 0, 255).astype(np.uint8)
_LABEL_SIDE = 512  # parts are told apart on a copy no larger than this


class MaskNetwork(Protocol):
    """Gives a soft alpha for a photo."""

    def predict(self, image: Image.Image) -> Pixels:
        """RGB image -> alpha (H, W), 255 for the subject. Raises NoSubject when there is none."""
        ...


def subject_alpha(photo: Photo, mask: Source | None = None, mask_model: str | None = None) -> Pixels:
    """The subject's alpha (H, W): from a given mask, the photo's own transparency, or a mask network."""
    if mask is not None:
        alpha = load_mask(mask, photo.size)
        check(alpha, "the given mask")
        return alpha
    if mask_model is None and photo.alpha is not None:
        note("the photo's own transparency is its mask; name a mask model to look for the subject instead")
        check(photo.alpha, "the photo's own transparency")
        return photo.alpha
    return find_subject(photo.rgb, mask_model or DEFAULT_MASK_MODEL)


def find_subject(rgb: Pixels, mask_model: str = DEFAULT_MASK_MODEL) -> Pixels:
    """The subject's alpha in a photo: (H, W, 3) uint8 -> (H, W) uint8, 255 inside.

    Raises NoSubject when the mask is empty, full or without contrast, InvalidOptions for an
    unknown model and BackendUnavailable when rembg is wanted and missing.
    """
    alpha = clean(_network(mask_model).predict(Image.fromarray(rgb)))
    check(alpha, mask_model)
    return alpha


def check(alpha: Pixels, origin: str) -> None:
    """Raises NoSubject when an alpha is (almost) empty or (almost) full."""
    share = float(np.count_nonzero(alpha > 127)) / alpha.size
    if share < _LEAST_SHARE:
        raise no_subject(origin, "the mask is empty")
    if share > _MOST_SHARE:
        raise no_subject(origin, "the mask covers the whole photo")


def no_subject(origin: str, why: str) -> NoSubject:
    """The error for a photo in which `origin` found nothing."""
    return NoSubject(
        f"no subject found ({origin}: {why}); try another mask model (--mask-model isnet-general-use) "
        "or give a mask (--mask FILE)"
    )


@lru_cache(maxsize=1)  # mask networks take up to a gigabyte: one is held
def _network(name: str) -> MaskNetwork:
    return _U2NetP() if name == DEFAULT_MASK_MODEL else _Rembg(name)


class _U2NetP:
    """The embedded network; pre- and post-processing are rembg's, to the last grey level."""

    _SIZE = (320, 320)
    _MEAN = np.array([0.485, 0.456, 0.406])
    _STD = np.array([0.229, 0.224, 0.225])

    def __init__(self) -> None:
        self._session = open_session(U2NETP_FILE, "onnx")
        self._input = next(iter(self._session.inputs))
        self._output = next(iter(self._session.outputs))

    def predict(self, image: Image.Image) -> Pixels:
        pixels = np.asarray(image.resize(self._SIZE, Image.Resampling.LANCZOS), np.float64)
        normal = (pixels / max(pixels.max(), 1e-6) - self._MEAN) / self._STD
        confidence = np.asarray(self._session.run({self._input: normal.transpose(2, 0, 1)[None]})[self._output])[0, 0]
        low, high = confidence.min(), confidence.max()
        if high < _CERTAIN:
            raise no_subject(DEFAULT_MASK_MODEL, f"it is nowhere more than {high:.0%} sure")
        if high - low < _CERTAIN:
            raise no_subject(DEFAULT_MASK_MODEL, "it cannot tell subject from background")
        stretched = ((confidence - low) / (high - low) * 255).astype(np.uint8)
        return np.asarray(Image.fromarray(stretched).resize(image.size, Image.Resampling.LANCZOS))


class _Rembg:
    """A model of rembg's, by rembg's name."""

    def __init__(self, name: str) -> None:
        note(f"loading rembg for the mask model {name}; the first time this takes about a minute")
        try:
            import onnxruntime as ort
            from rembg import new_session
            from rembg.sessions import sessions_names
        except ImportError as error:
            raise BackendUnavailable(
                f"the mask model {name!r} needs rembg; run: pip install 'cyclorama[masks]', or use {DEFAULT_MASK_MODEL}"
            ) from error
        if name not in sessions_names:
            known = ", ".join(sorted(sessions_names))
            raise InvalidOptions(f"unknown mask model {name!r}; choose one of {known}")
        options = ort.SessionOptions()
        options.intra_op_num_threads = available_cores()
        options.inter_op_num_threads = 1
        self._name = name
        try:
            self._session = new_session(name, sess_opts=options, providers=["CPUExecutionProvider"])
        except Exception as error:  # pooch, requests and ONNX Runtime each have their own
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BackendUnavailable(
                f"the mask model {name!r} could not be fetched or loaded ({reason}); "
                f"check the network, or use {DEFAULT_MASK_MODEL}"
            ) from error

    def predict(self, image: Image.Image) -> Pixels:
        masks = self._session.predict(image)
        if not masks:
            raise no_subject(self._name, "it gave no mask")
        return np.asarray(masks[0].convert("L"))


def clean(alpha: Pixels) -> Pixels:
    """Drops specks, fills small holes, and makes what is all but certain certain.

    A part goes when it is much smaller than the largest, or when the network is sure of it nowhere.
    Soft edges and real gaps stay. Networks hardly ever say 255: u2netp does for under 1 % of a
    subject, and only there would its pixels be kept to the bit; so the top and bottom 5 % are cut.
    """
    alpha = _LEVELS[alpha]
    height, width = alpha.shape
    scale = min(1.0, _LABEL_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BOX))

    result = alpha
    parts = label(small > 25)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    if len(areas) > 1:
        peaks = np.zeros(len(areas), np.uint8)
        np.maximum.at(peaks, parts, small)
        specks = ((areas < _SPECK_SHARE * areas.max()) | (peaks < 128))[parts] & (parts > 0)
        if specks.any():
            result = np.where(_enlarged(specks, alpha.shape), np.uint8(0), result)

    gaps = label(small < 230)
    areas = np.bincount(gaps.ravel())
    touching = np.unique(np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]]))
    fillable = areas < _HOLE_SHARE * np.count_nonzero(small > 127)
    fillable[touching] = False
    fillable[0] = False
    holes = fillable[gaps]
    if holes.any():
        result = np.where(_enlarged(holes, alpha.shape), np.uint8(255), result)
    return result


def _enlarged(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The mask, a pixel wider all round, at full size."""
    grown = np.pad(mask, 1)
    grown = grown[1:-1, 1:-1] | grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:]
    image = Image.fromarray(grown).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    return np.asarray(image)


def label(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Numbers the 8-connected parts of a mask from 1; 0 outside. Shape (H, W) -> (H, W).

    Row by row in runs, joined with a union-find: the classical two-pass algorithm
    (Rosenfeld & Pfaltz, 1966). SciPy and OpenCV have it too, at 140 MB each.
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    first_of_row = np.searchsorted(rows, np.arange(mask.shape[0] + 1))
    for row in range(1, mask.shape[0]):
        above, here = int(first_of_row[row - 1]), int(first_of_row[row])
        last_above, last_here = here, int(first_of_row[row + 1])
        while above < last_above and here < last_here:
            if starts[above] <= ends[here] and starts[here] <= ends[above]:
                a, b = root(above), root(here)
                parent[max(a, b)] = min(a, b)
            if ends[above] < ends[here]:
                above += 1
            else:
                here += 1

    roots = np.array([root(run) for run in range(len(rows))], np.int64)
    _, numbers = np.unique(roots, return_inverse=True)
    # Paint the runs by adding each number where it starts and taking it off where it ends.
    changes = np.zeros((mask.shape[0], mask.shape[1] + 1), np.int32)
    changes[rows, starts] += (numbers + 1).astype(np.int32)
    changes[rows, ends] -= (numbers + 1).astype(np.int32)
    return np.cumsum(changes, axis=1, dtype=np.int32)[:, :-1]
