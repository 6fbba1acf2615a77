"""The edge of a mask refined by a matting network: a second opinion on the uncertain pixels, and on those alone.

Such a network takes a photo and a trimap, in which each pixel is subject, background or unknown, and gives an alpha:
ViTMatte (Yao et al., "ViTMatte: Boosting Image Matting with Pretrained Plain Vision Transformers", 2024). None is
shipped; those of the catalogue are fetched when first asked for.
"""

from __future__ import annotations

from functools import lru_cache
from os import PathLike
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from cyclorama.engine.arrays import Array, Mask, Pixels
from cyclorama.engine.backends import open_session
from cyclorama.engine.checks import shown
from cyclorama.engine.errors import BadModel, InvalidOptions
from cyclorama.engine.matting.hints import Hints
from cyclorama.engine.matting.looks import View
from cyclorama.engine.matting.networks import file_of
from cyclorama.engine.matting.regions import grown
from cyclorama.engine.options import MaskModel
from cyclorama.models.catalogue import MATTING_MODELS, MaskEntry

_BACKGROUND, _SUBJECT = 10, 240  # grey levels of a mask that are certain, away from its edge
_REACH, _LEAST_REACH = 0.01, 3  # of the subject's longer side, and pixels: so near to what is not certain, nothing is
_MARGIN = 0.1  # around the uncertain pixels, of their longer side: what the network sees
_OPEN_SIDE = 1024  # of a file that takes any size
_LOADING = Lock()


class MattingNetwork:
    """Tells how much of each unknown pixel is subject. May be shared between threads."""

    def __init__(self, entry: MaskEntry, path: Path) -> None:
        self.name = entry.name
        self._session = open_session(path, "onnx")
        inputs, outputs = list(self._session.inputs.items()), list(self._session.outputs.items())
        shape = inputs[0][1].shape
        if len(inputs) != 1 or len(shape) != 4 or shape[1] not in (4, None) or len(outputs[0][1].shape) != 4:
            raise BadModel(
                f"{path} is no matting network: it takes {', '.join(f'{name} {spec.shape}' for name, spec in inputs)} "
                "where colours and a trimap (1, 4, H, W) are wanted"
            )
        self._input, self._output = inputs[0][0], outputs[0][0]
        self.side = shape[2] or entry.side or _OPEN_SIDE

    def alpha(self, image: Image.Image, trimap: Image.Image) -> Array:
        """Of an RGB image and a trimap of its size (0 background, 128 unknown, 255 subject): (side, side), 0 to 1."""
        size = (self.side, self.side)
        colours = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)
        known = np.asarray(trimap.resize(size, Image.Resampling.NEAREST), np.float32)[None]
        results = self._session.run({self._input: np.concatenate([colours, known])[None] * np.float32(1 / 255)})
        return np.asarray(np.clip(np.nan_to_num(np.asarray(results[self._output])[0, 0]), 0, 1), np.float32)


def matting_network(model: MaskModel) -> MattingNetwork:
    """The network of that name (a str), or in that ONNX file (a Path).

    Raises InvalidOptions, BadModel, DownloadFailed.
    """
    if not isinstance(model, str | PathLike):
        raise InvalidOptions(f"matting_model must be a name or a Path, got {shown(model)}", option="matting_model")
    with _LOADING:
        if isinstance(model, str):
            if model not in MATTING_MODELS:
                raise InvalidOptions(
                    f"unknown matting model {model!r}; choose one of {', '.join(MATTING_MODELS)}, or an ONNX file",
                    option="matting_model",
                )
            return _of_catalogue(model)
        path = Path(model)
        if not path.is_file():
            raise InvalidOptions(f"there is no matting model {path}", option="matting_model")
        return _of_file(path.resolve(), path.stat().st_mtime_ns)


@lru_cache(maxsize=1)  # these take gigabytes while they run: one is held
def _of_catalogue(name: str) -> MattingNetwork:
    entry = MATTING_MODELS[name]
    return MattingNetwork(entry, file_of(entry))


@lru_cache(maxsize=1)
def _of_file(path: Path, _modified: int) -> MattingNetwork:
    return MattingNetwork(MaskEntry(str(path), "", "", 0, ""), path)


def refined(rgb: Pixels, alpha: Pixels, network: MattingNetwork, hints: Hints) -> Pixels:
    """An alpha (H, W) of a photo (H, W, 3), as the network has it where it is uncertain.

    Where it is certain, away from its edge, and where a person said what is subject and what is not, it stays.
    """
    unknown = _unknown(alpha) & ~hints.outside(alpha.shape)
    for strokes in (hints.keep, hints.drop):
        if strokes is not None:
            unknown &= ~strokes
    if not unknown.any():
        return alpha
    view = View.around(unknown).grown(_MARGIN, (rgb.shape[1], rgb.shape[0]))
    trimap = np.where(unknown, np.uint8(128), np.where(alpha > 127, np.uint8(255), np.uint8(0)))
    seen = network.alpha(*(Image.fromarray(np.asarray(view.of(part), np.uint8)) for part in (rgb, trimap)))
    size = (view.right - view.left, view.bottom - view.top)
    enlarged = np.asarray(Image.fromarray(seen).resize(size, Image.Resampling.BILINEAR))
    result = alpha.copy()
    part = result[view.top : view.bottom, view.left : view.right]
    np.copyto(part, np.round(enlarged * 255).astype(np.uint8), where=np.asarray(view.of(unknown), np.bool_))
    return result


def _unknown(alpha: Pixels) -> Mask:
    """Where a mask is between certain subject and certain background, and near to both."""
    left, top, right, bottom = View.around(alpha > 127)
    reach = max(_LEAST_REACH, round(_REACH * max(right - left, bottom - top)))
    return grown(alpha <= _SUBJECT, reach) & grown(alpha >= _BACKGROUND, reach)
