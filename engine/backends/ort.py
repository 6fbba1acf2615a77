"""Sessions on ONNX Runtime (CPU and CUDA)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cyclorama.engine.backends import Shapes, Tensor, TensorSpec
from cyclorama.engine.errors import BackendUnavailable, BadModel, first_line
from cyclorama.engine.options import Device

try:
    import onnxruntime as ort
except ImportError as error:  # pragma: no cover - part of the plain install
    raise BackendUnavailable("ONNX Runtime is not installed; run: pip install onnxruntime") from error

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


# Bytes of weights. ONNX Runtime's arena keeps all memory it ever took: small networks run up to a
# third faster for it, SD1.5's four would hold 3 GB more and be no faster (CONTRIBUTING.md).
_LARGE = 32_000_000


class DeviceTensor:
    """A tensor where the session left it; `numpy.asarray` copies it to the host."""

    def __init__(self, value: ort.OrtValue) -> None:
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return tuple(self.value.shape())

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        array: npt.NDArray[Any] = self.value.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)


class OnnxSession:
    """A network in ONNX Runtime. Inputs and outputs are bound on the device that runs it.

    May be shared between threads, which run at the same time.
    """

    def __init__(self, path: Path, device: Device, threads: int) -> None:
        if not path.is_file():
            raise BadModel(f"{path} is missing; fetch or export the model again")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        weight = sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file())
        options.enable_cpu_mem_arena = weight < _LARGE
        options.log_severity_level = 4  # what fails is raised, and need not be logged as well
        try:
            self._session = ort.InferenceSession(str(path), options, providers=_providers(device), enable_fallback=0)
        except BackendUnavailable:
            raise
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but Exception
            if device == "cuda" and "CUDA" in str(error):
                raise _cuda_broken() from error
            raise BadModel(f"ONNX Runtime cannot load {path}: {first_line(error)}") from error
        if device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise _cuda_broken()
        self._path = path
        self._device = device
        self.inputs = {arg.name: _spec(arg) for arg in self._session.get_inputs()}
        self.outputs = {arg.name: _spec(arg) for arg in self._session.get_outputs()}

    def compile(self, shapes: Shapes) -> object:
        """Nothing to do: ONNX Runtime takes shapes as they come."""
        return None

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Session.run`; what is returned stays on the device."""
        binding = self._session.io_binding()
        bound = []  # the binding itself does not keep its inputs alive in every version
        for name, value in feeds.items():
            dtype = self.inputs[name].dtype
            if isinstance(value, DeviceTensor) and _DTYPES[value.value.data_type()] == dtype:
                tensor = value.value
            else:
                array = np.asarray(value, dtype, order="C")  # ascontiguousarray would make scalars 1-d
                tensor = ort.OrtValue.ortvalue_from_numpy(array, self._device, 0)
                bound.append(array)
            binding.bind_ortvalue_input(name, tensor)
            bound.append(tensor)
        for name in self.outputs:
            binding.bind_output(name, self._device, 0)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise BadModel(f"ONNX Runtime cannot run {self._path}: {first_line(error)}") from error
        return {name: DeviceTensor(value) for name, value in zip(self.outputs, binding.get_outputs(), strict=True)}

    def drop(self) -> None:
        """Nothing to do: see `compile`."""

    def release(self) -> None:
        """Nothing to do: large networks keep none, and of small ones it is little."""


def _spec(arg: ort.NodeArg) -> TensorSpec:
    shape = tuple(dim if isinstance(dim, int) else None for dim in arg.shape)
    return TensorSpec(shape, np.dtype(_DTYPES[arg.type]))


def _cuda_broken() -> BackendUnavailable:
    return BackendUnavailable(
        "ONNX Runtime has its CUDA provider but cannot start it (driver, CUDA or cuDNN missing or of another version)",
        option="device",
        hint="run nvidia-smi to check the driver, or use `device` cpu",
    )


def _providers(device: Device) -> list[str]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise BackendUnavailable(
            "the device cuda needs the package onnxruntime-gpu, and this ONNX Runtime has no CUDA provider",
            option="device",
            hint="run: pip install 'cyclorama[cuda]' && pip uninstall -y onnxruntime && "
            "pip install --force-reinstall --no-deps onnxruntime-gpu",
        )
    _preload_cuda()
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


@cache
def _preload_cuda() -> None:
    """CUDA and cuDNN may lie in pip packages, where the loader does not look."""
    # What it has to say it prints to stdout, where data goes. Once in a process, for that changes it for all threads.
    with contextlib.redirect_stdout(sys.stderr):
        ort.preload_dlls()
