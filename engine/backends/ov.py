"""Sessions on OpenVINO (CPU)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from engine.backends import Part, Shapes, Tensor, TensorSpec
from engine.errors import BackendUnavailable, BadModel

try:
    import openvino as ov
except ImportError as error:  # pragma: no cover - part of the plain install
    raise BackendUnavailable("OpenVINO is not installed; run: pip install openvino") from error

from engine.backends.compiled import compile_model
from engine.backends.deepcache import cut
from engine.backends.downsampling import downsample_tokens
from engine.machine import mapped_memory_given_back


@cache
def _core() -> ov.Core:
    return ov.Core()


class OpenVINOSession:
    """A network on the CPU, compiled for the shapes it is fed and tuned for one request at a time.

    Compiled once for fixed shapes it runs faster than for open ones (CONTRIBUTING.md). Of a network only the last
    shapes stay compiled: for SD1.5's UNet that is over a gigabyte, and what was compiled before is kept on disk.
    """

    def __init__(self, path: Path, threads: int, exact: bool, part: Part) -> None:
        if not path.is_file():
            raise BadModel(f"{path} is missing; fetch or export the model again")
        self._path, self._part = path, part
        try:
            model = self._read()
        except RuntimeError as error:
            raise BadModel(f"OpenVINO cannot load {path}: {_last_line(error)}") from error
        self._config: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if exact:  # by itself OpenVINO computes in bf16 where the CPU can
            self._config["INFERENCE_PRECISION_HINT"] = "f32"
        self.inputs = {port.get_any_name(): _spec(port) for port in model.inputs}
        self.outputs = {port.get_any_name(): _spec(port) for port in model.outputs}
        self._shapes: Shapes = {}
        self._compiled: ov.CompiledModel | None = None
        self._request: ov.InferRequest | None = None

    def _read(self) -> ov.Model:
        model = _core().read_model(self._path)
        return cut(model, self._part) if self._part in ("full", "shallow") else model

    def _build(self, shapes: Shapes) -> ov.Model:
        model = self._read()
        model.reshape({name: list(shape) for name, shape in shapes.items()})
        if self._part == "downsampled":
            downsample_tokens(model, *shapes["sample"][2:])
        return model

    def compile(self, shapes: Shapes) -> None:
        """See `Session.compile`."""
        if self._request is not None and shapes == self._shapes:
            return
        self.drop()  # the memory of the other shapes comes first
        try:
            with mapped_memory_given_back(self._path.with_suffix(".bin")):
                self._compiled = compile_model(
                    _core(), self._path, self._part, lambda: self._build(shapes), shapes, self._config
                )
        except RuntimeError as error:
            raise BadModel(f"OpenVINO cannot load {self._path}: {_last_line(error)}") from error
        self._request = self._compiled.create_infer_request()
        self._shapes = shapes

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Session.run`; the returned arrays are copies, safe across runs."""
        arrays = {name: np.asarray(value, self.inputs[name].dtype) for name, value in feeds.items()}
        self.compile({name: array.shape for name, array in arrays.items()})
        assert self._request is not None
        try:
            results = self._request.infer(arrays, share_inputs=True)
        except RuntimeError as error:
            raise BadModel(f"OpenVINO cannot run {self._path}: {_last_line(error)}") from error
        return {name: results[index].copy() for index, name in enumerate(self.outputs)}

    def drop(self) -> None:
        """See `Session.drop`."""
        self._request = self._compiled = None

    def release(self) -> None:
        """See `Session.release`."""
        if self._compiled is not None:
            self._compiled.release_memory()


def _spec(port: ov.Output) -> TensorSpec:
    shape = tuple(dim.get_length() if dim.is_static else None for dim in port.get_partial_shape())
    return TensorSpec(shape, port.get_element_type().to_dtype())


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__  # OpenVINO tells its source's lines first, the reason last
