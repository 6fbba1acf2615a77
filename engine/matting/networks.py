"""Mask networks: how sure each is of the subject, pixel by pixel.

Those of the catalogue run on our own session, by what the catalogue says of them. U²-Net (Qin et al., 2020) is
shipped, quantised to int8, and so is its small sister u2netp; others are fetched. Any ONNX file that takes an image
(1, 3, H, W) and gives a map (1, 1, H, W) runs there too. Every other name is a model of rembg's, which is imported only
when one is asked for.
"""

from __future__ import annotations

import os
from functools import cache, lru_cache
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.engine.arrays import Array
from cyclorama.engine.backends import open_session
from cyclorama.engine.checks import shown
from cyclorama.engine.errors import BackendUnavailable, BadModel, InvalidOptions, NoHome, first_line
from cyclorama.engine.notes import note
from cyclorama.engine.options import MaskModel
from cyclorama.models.catalogue import MASK_MODELS, SHIPPED_MASK_MODELS, MaskEntry
from cyclorama.models.store import digest, has_digest, home, persons_home

DEFAULT_MASK_MODEL = "u2net-int8"
# Of rembg's: what wants clicks for its input, and what sends the photo to a service.
_UNFIT = ("sam", "withoutbg", "atlascloud")
_OPEN_SIDE = 1024  # of a file that takes any size

_EMBEDDED, _LOADING = Lock(), Lock()  # once each; a long download of the one keeps nobody from the other


class MaskNetwork(Protocol):
    """Tells the subject of an image from its background. May be shared between threads."""

    name: str
    side: int

    @property
    def beside(self) -> MaskNetwork | None:
        """A second network, whose look at the whole photo counts as well."""
        ...

    def confidence(self, image: Image.Image) -> Array:
        """0 to 1 on a grid of the network's own size or the image's, as it comes from the network."""
        ...


def mask_network(model: MaskModel) -> MaskNetwork:
    """The network of that name (a str), or in that ONNX file (a Path).

    Raises InvalidOptions, BackendUnavailable, BadModel, DownloadFailed.
    """
    if not isinstance(model, str | PathLike):
        raise InvalidOptions(f"mask_model must be a name or a Path, got {shown(model)}", option="mask_model")
    if isinstance(model, str) and model in SHIPPED_MASK_MODELS:
        with _EMBEDDED:
            return _embedded(model)
    with _LOADING:
        if isinstance(model, str):
            return _of_catalogue(model) if model in MASK_MODELS else _of_rembg(model)
        path = Path(model)
        if not path.is_file():
            raise InvalidOptions(f"there is no mask model {path}", option="mask_model")
        return _of_file(path.resolve(), path.stat().st_mtime_ns)


@cache
def _embedded(name: str) -> OnnxMask:
    entry = MASK_MODELS[name]
    return OnnxMask(entry, SHIPPED_MASK_MODELS[name], _embedded(entry.beside) if entry.beside else None)


@lru_cache(maxsize=1)  # these take up to a gigabyte: one is held
def _of_catalogue(name: str) -> OnnxMask:
    entry = MASK_MODELS[name]
    return OnnxMask(entry, file_of(entry))


def file_of(entry: MaskEntry) -> Path:
    """The file of a network that is not in the package: ours, rembg's own, or fetched now. Raises DownloadFailed."""
    from cyclorama.models.hub import fetch_address

    path = home() / "masks" / f"{entry.name}.onnx"
    if not path.is_file():
        found = [file for file in _rembgs_own(entry.name) if file.is_file() and has_digest(file, entry.digest)]
        if found:
            return found[0]
        terms = "" if entry.is_commercial else f" ({entry.licence})"
        note(f"fetching the network {entry.name}{terms}")
        fetch_address(entry.url, path, entry.digest)
    return path


def _rembgs_own(name: str) -> list[Path]:
    """What rembg has fetched of that name."""
    given, persons = os.environ.get("U2NET_HOME"), persons_home()
    roots = [Path(given)] if given else [persons / ".u2net", persons / ".rembg"] if persons else []
    return [file for root in roots for where in ("", "models/*/") for file in root.glob(f"{where}{name}.onnx")]


@lru_cache(maxsize=1)
def _of_file(path: Path, _modified: int) -> OnnxMask:
    sums = (digest(path, "md5"), digest(path, "sha256"))
    known = next((entry for entry in MASK_MODELS.values() if entry.digest in sums), None)
    return OnnxMask(known or MaskEntry(str(path), "", "", 0, ""), path)


@lru_cache(maxsize=1)
def _of_rembg(name: str) -> RembgNetwork:
    return RembgNetwork(name)


class OnnxMask:
    """A network on our own session; what goes in is made as rembg makes it."""

    def __init__(self, entry: MaskEntry, path: Path, beside: MaskNetwork | None = None) -> None:
        self.name = entry.name
        self.beside = beside
        self._session = open_session(path, "onnx")
        inputs, outputs = list(self._session.inputs.items()), list(self._session.outputs.items())
        shape = inputs[0][1].shape
        if len(inputs) != 1 or len(shape) != 4 or shape[1] not in (3, None) or len(outputs[0][1].shape) != 4:
            raise BadModel(
                f"{path} is no mask network: it takes {', '.join(f'{name} {spec.shape}' for name, spec in inputs)} "
                "where one image (1, 3, H, W) is wanted"
            )
        self._input, self._output = inputs[0][0], outputs[0][0]
        self.side = entry.side or max(shape[2] or 0, shape[3] or 0) or _OPEN_SIDE
        self._entry = entry
        self._activation: Literal["none", "sigmoid"] | None = entry.activation if entry.side else None

    def confidence(self, image: Image.Image) -> Array:
        """See `MaskNetwork`. In a file that the catalogue does not know, values beyond 0 to 1 are taken for logits."""
        results = self._session.run({self._input: normalised(image, self._entry, self.side)})
        raw = np.asarray(np.asarray(results[self._output])[0, 0], np.float32)
        is_logit = raw.min() < 0 or raw.max() > 1 if self._activation is None else self._activation == "sigmoid"
        return np.asarray(1 / (1 + np.exp(-np.clip(raw, -50, 50))), np.float32) if is_logit else raw


def normalised(image: Image.Image, entry: MaskEntry, side: int | None = None) -> npt.NDArray[np.float64]:
    """What a network is shown, (1, 3, side, side), as rembg makes it."""
    side = side or entry.side
    pixels = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS), np.float64)
    normal = (pixels / max(pixels.max(), 1e-6) - np.array(entry.mean)) / np.array(entry.deviation)
    return np.asarray(normal.transpose(2, 0, 1)[None])


class RembgNetwork:
    """A model of rembg's, by rembg's name. What it gives is stretched to reach from 0 to 1."""

    side = _OPEN_SIDE
    beside: MaskNetwork | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        note(f"loading rembg for the mask model {name}; the first time it compiles for up to a minute")
        try:
            from rembg import new_session
            from rembg.sessions import sessions_names
        except ImportError as error:
            raise BackendUnavailable(
                f"the mask model {name!r} is none of {', '.join(MASK_MODELS)}; if it is one of rembg's, run: "
                "pip install 'cyclorama[masks]'",
                option="mask_model",
            ) from error
        names = {known for known in sessions_names if not known.endswith("_custom") and known not in _UNFIT}
        if name not in names:
            raise InvalidOptions(
                f"unknown mask model {name!r}; choose one of {', '.join(sorted(names | MASK_MODELS.keys()))}",
                option="mask_model",
            )
        if persons_home() is None and not os.environ.get("U2NET_HOME"):
            raise NoHome(f"rembg has no folder for the mask model {name!r}; set U2NET_HOME to one that may be written")
        try:
            self._session = new_session(name, providers=["CPUExecutionProvider"])
        except Exception as error:  # pooch, requests and ONNX Runtime each have their own
            raise BackendUnavailable(
                f"the mask model {name!r} could not be fetched or loaded ({first_line(error)}); "
                f"check the network, or use {DEFAULT_MASK_MODEL}",
                option="mask_model",
            ) from error

    def confidence(self, image: Image.Image) -> Array:
        """See `MaskNetwork`; at the image's size."""
        masks = self._session.predict(image)
        if not masks:
            return np.zeros((image.height, image.width), np.float32)
        return np.asarray(masks[0].convert("L"), np.float32) * np.float32(1 / 255)
