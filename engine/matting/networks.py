"""Mask networks: how sure each is of the subject, pixel by pixel.

`u2netp` (Qin et al., 2020, "U²-Net") is shipped and runs on our own session. Every other name is a model of rembg's,
which is imported only when one is asked for.
"""

from __future__ import annotations

import os
import sys
from functools import cache, lru_cache
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.engine.backends import open_session
from cyclorama.engine.checks import text
from cyclorama.engine.errors import BackendUnavailable, InvalidOptions, NoHome, first_line
from cyclorama.engine.machine import available_cores
from cyclorama.engine.notes import note
from cyclorama.models.catalogue import MASK_MODELS, U2NETP_FILE
from cyclorama.models.store import persons_home

Array = npt.NDArray[np.float32]

DEFAULT_MASK_MODEL = "u2netp"
# Of rembg's: what wants clicks for its input, and what sends the photo to a service.
_UNFIT = ("sam", "withoutbg", "atlascloud")


_LOADING = Lock()  # once each, and rembg's import changes the environment


class MaskNetwork(Protocol):
    """Tells the subject of an image from its background. May be shared between threads."""

    side: int
    """Of the square that it looks at, in pixels."""

    def confidence(self, image: Image.Image) -> Array:
        """RGB image -> 0..1 for being the subject, (h, w) at the network's own size, as it comes from the network."""
        ...


def mask_network(name: str) -> MaskNetwork:
    """The network of that name. Raises InvalidOptions and BackendUnavailable."""
    text("mask_model", name)
    with _LOADING:
        return _embedded() if name == DEFAULT_MASK_MODEL else _of_rembg(name)


@cache
def _embedded() -> U2NetP:
    return U2NetP()


@lru_cache(maxsize=1)  # these take up to a gigabyte: one is held
def _of_rembg(name: str) -> RembgNetwork:
    return RembgNetwork(name)


class U2NetP:
    """The embedded network; what goes in is made as rembg makes it."""

    side = MASK_MODELS[DEFAULT_MASK_MODEL].side
    _MEAN = np.array([0.485, 0.456, 0.406])
    _STD = np.array([0.229, 0.224, 0.225])

    def __init__(self) -> None:
        self._session = open_session(U2NETP_FILE, "onnx")
        self._input = next(iter(self._session.inputs))
        self._output = next(iter(self._session.outputs))

    def confidence(self, image: Image.Image) -> Array:
        """See `MaskNetwork`."""
        pixels = np.asarray(image.resize((self.side, self.side), Image.Resampling.LANCZOS), np.float64)
        normal = (pixels / max(pixels.max(), 1e-6) - self._MEAN) / self._STD
        results = self._session.run({self._input: normal.transpose(2, 0, 1)[None]})
        return np.asarray(np.asarray(results[self._output])[0, 0], np.float32)


class RembgNetwork:
    """A model of rembg's, by rembg's name."""

    def __init__(self, name: str) -> None:
        entry = MASK_MODELS.get(name)
        terms = "" if entry is None or entry.is_commercial else f" ({entry.licence})"
        note(f"loading rembg for the mask model {name}{terms}")
        try:
            new_session, names = _import_rembg()
        except ImportError as error:
            raise BackendUnavailable(
                f"the mask model {name!r} needs rembg; run: pip install 'cyclorama[masks]', or use {DEFAULT_MASK_MODEL}"
            ) from error
        if name not in names:
            raise InvalidOptions(f"unknown mask model {name!r}; choose one of {', '.join(sorted(names))}")
        if persons_home() is None and not os.environ.get("U2NET_HOME"):
            raise NoHome(f"rembg has no folder for the mask model {name!r}; set U2NET_HOME to one that may be written")
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = available_cores()
        options.inter_op_num_threads = 1
        try:
            self._session = new_session(name, sess_opts=options, providers=["CPUExecutionProvider"])
        except Exception as error:  # pooch, requests and ONNX Runtime each have their own
            raise BackendUnavailable(
                f"the mask model {name!r} could not be fetched or loaded ({first_line(error)}); "
                f"check the network, or use {DEFAULT_MASK_MODEL}"
            ) from error
        self.side = 320 if name.startswith(("u2net", "silueta")) else 1024
        self._lock = Lock()  # between a network's run and the reading of its range
        self._outputs = self._session.inner_session = _Recorder(self._session.inner_session)

    def confidence(self, image: Image.Image) -> Array:
        """See `MaskNetwork`; at the image's size. rembg's stretch from 0 to 255 is undone."""
        with self._lock:
            masks = self._session.predict(image)
            if not masks:
                return np.zeros((image.height, image.width), np.float32)
            low, high = self._outputs.range()
        stretched = np.asarray(masks[0].convert("L"), np.float32) * np.float32(1 / 255)
        return stretched * np.float32(high - low) + np.float32(low)


class _Recorder:
    """Stands for a session of ONNX Runtime's and remembers what it gave last."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._last: list[Any] = []

    def run(self, *args: Any, **kwargs: Any) -> list[Any]:
        self._last = self._session.run(*args, **kwargs)
        return self._last

    def range(self) -> tuple[float, float]:
        """The lowest and highest confidence; logits, as BiRefNet gives them, are squashed first as rembg does."""
        values = np.asarray(self._last[0], np.float64)
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            low, high = (1 / (1 + np.exp(-np.clip(value, -50, 50))) for value in (low, high))
        return low, high

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def _import_rembg() -> tuple[Any, list[str]]:
    """rembg's `new_session` and the names of its models.

    rembg imports pymatting, whose Numba code compiles on import: over a minute, where a cache cannot be written each
    time anew. It is wanted for rembg's own alpha matting only, which is not used here; in this process pymatting then
    stays uncompiled. Whoever needs it fast imports it before.
    """
    untouched = "numba" not in sys.modules and "NUMBA_DISABLE_JIT" not in os.environ
    if untouched:
        os.environ["NUMBA_DISABLE_JIT"] = "1"
    try:
        from rembg import new_session
        from rembg.sessions import sessions_names
    finally:
        if untouched:
            del os.environ["NUMBA_DISABLE_JIT"]
            if "numba" in sys.modules:
                sys.modules["numba"].config.DISABLE_JIT = 0  # for other code that uses Numba
    return new_session, [name for name in sessions_names if not name.endswith("_custom") and name not in _UNFIT]
