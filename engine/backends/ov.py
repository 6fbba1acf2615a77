"""Sessions on OpenVINO (CPU)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from engine.backends import Tensor, TensorSpec
from engine.errors import BackendUnavailable, BadModel

try:
    import openvino as ov
except ImportError as error:  # pragma: no cover - part of the plain install
    raise BackendUnavailable("OpenVINO is not installed; run: pip install openvino") from error


@cache
def _core() -> ov.Core:
    return ov.Core()


class OpenVINOSession:
    """A network compiled for the CPU, in float32, tuned for one request at a time."""

    def __init__(self, path: Path, threads: int) -> None:
        if not path.is_file():
            raise BadModel(f"{path} is missing; fetch or export the model again")
        try:
            model = _core().read_model(path)
            compiled = _core().compile_model(
                model,
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": threads,
                    # OpenVINO would choose bf16 by itself where the CPU has it.
                    "INFERENCE_PRECISION_HINT": "f32",
                },
            )
        except RuntimeError as error:
            raise BadModel(f"OpenVINO cannot load {path}: {_last_line(error)}") from error
        self._path = path
        self._request = compiled.create_infer_request()
        # The model's own names: compiling gives some ports further ones.
        self.inputs = {port.get_any_name(): _spec(port) for port in model.inputs}
        self.outputs = {port.get_any_name(): _spec(port) for port in model.outputs}

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Session.run`; the returned arrays are copies, safe across runs."""
        arrays = {name: np.asarray(value, self.inputs[name].dtype) for name, value in feeds.items()}
        try:
            results = self._request.infer(arrays, share_inputs=True)
        except RuntimeError as error:
            raise BadModel(f"OpenVINO cannot run {self._path}: {_last_line(error)}") from error
        return {name: results[index].copy() for index, name in enumerate(self.outputs)}


def _spec(port: ov.Output) -> TensorSpec:
    shape = tuple(dim.get_length() if dim.is_static else None for dim in port.get_partial_shape())
    return TensorSpec(shape, port.get_element_type().to_dtype())


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__  # OpenVINO tells its source's lines first, the reason last
