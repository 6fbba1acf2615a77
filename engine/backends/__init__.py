"""Inference backends behind one small interface.

A `Session` runs one component (text encoder, UNet, VAE half, mask network). Arrays go in as NumPy
arrays or as what another session of the same backend returned; `numpy.asarray` turns a returned
tensor into an array. On a GPU the returned tensor stays on the device until that is done, so the
text embeddings, for one, never leave it between the text encoder and twenty UNet steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from cyclorama.engine.errors import BackendUnavailable, InvalidOptions
from cyclorama.engine.options import Backend, Device

# Of a UNet; see `engine.backends.deepcache` and `engine.backends.downsampling`.
Part = Literal["whole", "full", "shallow", "downsampled"]
DEEP_FEATURES = "deep_features"  # what `full` also gives and `shallow` takes
Shapes = Mapping[str, tuple[int, ...]]

OPENVINO_FILE = "openvino_model.xml"
ONNX_FILE = "model.onnx"


class DeviceArray(Protocol):
    """A tensor that may lie on a device; `numpy.asarray` brings it to the host."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        ...

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]: ...


Tensor = npt.NDArray[Any] | DeviceArray


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a network. `None` stands for a dimension that may vary."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[np.generic]


class Session(Protocol):
    """One loaded network. May be shared between threads."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]

    def compile(self, shapes: Shapes) -> object:
        """Makes ready for inputs of these shapes. `run` does so itself where it was not done.

        What is returned keeps them ready for as long as it is held, whatever other threads run meanwhile.
        """
        ...

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs the network once. Arrays in `feeds` are cast to the dtype of the input they go to."""
        ...

    def drop(self) -> None:
        """Gives back what was compiled and is not held; the next run compiles again, or takes it from disk."""
        ...

    def release(self) -> None:
        """Gives back the memory of intermediate results until the next run, which is slower for it."""
        ...


def open_session(
    path: Path,
    backend: Backend,
    device: Device = "cpu",
    threads: int | None = None,
    *,
    exact: bool = True,
    part: Part = "whole",
) -> Session:
    """Loads an OpenVINO IR (`.xml`) or an ONNX model; OpenVINO reads both.

    `device`: `cuda` for ONNX, `gpu` and `npu` for OpenVINO.  `threads`: None takes what the container's CPU quota
    allows.  `exact`: float32 throughout, else OpenVINO computes in bf16 where the CPU can.  `part`: for OpenVINO, a
    UNet may be cut.
    Raises BackendUnavailable (package or device missing) and BadModel (file missing or damaged).
    """
    from cyclorama.engine.machine import available_cores

    threads = threads or available_cores()
    if backend == "openvino":
        from cyclorama.engine.backends.ov import OpenVINOSession

        return OpenVINOSession(path, threads, exact, part, device)
    if part != "whole":
        raise InvalidOptions("only the openvino backend can cut a UNet in two")
    from cyclorama.engine.backends.ort import OnnxSession

    return OnnxSession(path, device, threads)


def random_feeds(session: Session, size: int = 16, batch: int = 1, tokens: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of the right shapes and dtypes, Gaussian or small positive integers, for trying a network out.

    `size`, `batch` and `tokens` stand in where the network leaves height and width, the batch or
    the sequence length open.
    """
    rng = np.random.default_rng(seed)
    feeds: dict[str, Tensor] = {}
    for name, spec in session.inputs.items():
        open_dims = {2: (batch, tokens), 3: (batch, tokens, 1), 4: (batch, 3, size, size)}.get(len(spec.shape), (1,))
        shape = [given or default for given, default in zip(spec.shape, open_dims, strict=False)]
        if np.issubdtype(spec.dtype, np.integer) or name == "timestep":
            feeds[name] = rng.integers(1, 999, shape).astype(spec.dtype)
        else:
            feeds[name] = rng.standard_normal(shape).astype(spec.dtype)
    return feeds


def choose_backend(has_ir: bool, has_onnx: bool, backend: Backend | Literal["auto"], device: Device) -> Backend:
    """Settles `auto`: OpenVINO where the model has IR and it runs here, else ONNX Runtime.

    Raises InvalidOptions and BackendUnavailable for what cannot be.
    """
    from cyclorama.engine.backends.probe import why_openvino_fails
    from cyclorama.engine.notes import note

    own = {"cuda": "onnx", "gpu": "openvino", "npu": "openvino"}.get(device)
    if own is not None and backend not in ("auto", own):
        raise InvalidOptions(
            f"the {backend} backend does not run on {device}", option="device", hint=f"use `backend` {own}"
        )
    if device == "cuda":
        if not has_onnx:
            raise _no_onnx(f"the device {device}")
        return "onnx"
    if own == "openvino":
        from cyclorama.engine.backends.ov import check_device

        check_device(device)
        return "openvino"
    if backend == "openvino":
        reason = why_openvino_fails()
        if reason is not None:
            raise BackendUnavailable(
                f"OpenVINO does not run on this machine ({reason})", option="backend", hint="use `backend` onnx"
            )
        return "openvino"
    if backend == "onnx":
        if not has_onnx:
            raise _no_onnx("the backend onnx")
        return "onnx"
    if backend != "auto":
        raise InvalidOptions(f"backend must be auto, openvino or onnx, got {backend!r}")
    if not has_ir:
        return "onnx"
    reason = why_openvino_fails()
    if reason is None:
        return "openvino"
    if not has_onnx:
        raise BackendUnavailable(
            f"OpenVINO does not run on this machine ({reason}) and the model's folder has no ONNX to run instead",
            hint="export it again in the format onnx",
        )
    note(f"OpenVINO does not run on this machine ({reason}); using ONNX Runtime")
    return "onnx"


def _no_onnx(what: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"{what} needs the model as ONNX, but its folder has OpenVINO IR only",
        option="backend",
        hint="export it again in the format onnx, or use `backend` openvino",
    )
