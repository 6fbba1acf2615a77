"""Sessions on OpenVINO."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np

from cyclorama.engine.backends import Part, Shapes, Tensor, TensorSpec
from cyclorama.engine.errors import BackendUnavailable, BadModel
from cyclorama.engine.options import Device

try:
    import openvino as ov
except ImportError as error:  # pragma: no cover - part of the plain install
    raise BackendUnavailable("OpenVINO is not installed; run: pip install openvino") from error

from cyclorama.engine.backends.compiled import compile_model, states
from cyclorama.engine.backends.deepcache import cut
from cyclorama.engine.backends.downsampling import downsample_tokens
from cyclorama.engine.machine import mapped_memory_given_back

# Held while files are mapped, networks compiled and either let go. While a network is compiled the memory of its
# mapped weights is given back (`mapped_memory_given_back`), and no other thread may then unmap a file, for something
# else could come to lie in its place.
_MAPPING = Lock()
_UNREACHABLE: list[object] = []  # compiled networks that nothing holds any more, let go when the lock is free


@contextmanager
def _mapping() -> Iterator[None]:
    with _MAPPING:
        try:
            yield
        finally:
            _UNREACHABLE.clear()


def _let_go_of_unreachable() -> None:
    if _UNREACHABLE and _MAPPING.acquire(blocking=False):  # else whoever holds it does so
        try:
            _UNREACHABLE.clear()
        finally:
            _MAPPING.release()


@cache
def _core() -> ov.Core:
    return ov.Core()


class _Compiled:
    """A network compiled for fixed shapes, and the one request that runs it."""

    def __init__(self, model: ov.CompiledModel) -> None:
        self.model = model
        self.request = model.create_infer_request()
        self.lock = Lock()  # a request runs once at a time

    def __del__(self) -> None:
        # Whatever thread collects garbage comes by here, maybe while it or another holds the lock.
        _UNREACHABLE.append(self.__dict__)
        _let_go_of_unreachable()


class OpenVINOSession:
    """A network on one device, compiled for the shapes it is fed and tuned for one request at a time.

    Compiled once for fixed shapes it runs faster than for open ones (CONTRIBUTING.md). Of a network only the last
    shapes stay compiled: for SD1.5's UNet that is over a gigabyte, and what was compiled before is kept on disk. Shapes
    that a picture in another thread is being painted with stay until it is done.
    May be shared between threads, which then wait for each other.
    """

    def __init__(self, path: Path, threads: int, exact: bool, part: Part, device: Device = "cpu") -> None:
        if not path.is_file():
            raise BadModel(f"{path} is missing; fetch or export the model again")
        self._path, self._part, self._device = path, part, device.upper()
        with _mapping(), _clear_errors(f"OpenVINO cannot load {path}"):
            self._states = self._states_now()
            model = self._read()
            self.inputs = {port.get_any_name(): _spec(port) for port in model.inputs}
            self.outputs = {port.get_any_name(): _spec(port) for port in model.outputs}
            del model
        self._config: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
        if device == "cpu":
            self._config["INFERENCE_NUM_THREADS"] = threads
            # Every process would pin its threads to the first cores: two of one thread then share one core.
            self._config["ENABLE_CPU_PINNING"] = False
        if exact:  # by itself OpenVINO computes in bf16 where the CPU can
            self._config["INFERENCE_PRECISION_HINT"] = "f32"
        self._last: _Compiled | None = None
        self._in_use: WeakValueDictionary[Hashable, _Compiled] = WeakValueDictionary()

    def _states_now(self) -> list[tuple[int, int]] | None:
        try:
            return states(self._path)
        except OSError:  # weights that lie elsewhere, or are gone
            return None

    def _read(self) -> ov.Model:
        model = _core().read_model(self._path)
        return cut(model, self._part) if self._part in ("full", "shallow") else model

    def _build(self, shapes: Shapes) -> ov.Model:
        model = self._read()
        model.reshape({name: list(shape) for name, shape in shapes.items()})
        if self._part == "downsampled":
            downsample_tokens(model, *shapes["sample"][2:])
        return model

    def compile(self, shapes: Shapes) -> _Compiled:
        """See `Session.compile`."""
        key = frozenset(shapes.items())
        found = self._in_use.get(key)
        if found is not None:
            self._last = found
            return found
        with _mapping():
            found = self._in_use.get(key)  # compiled by another thread meanwhile
            if found is None:
                if self._states_now() != self._states:  # other weights beside those that run would paint nonsense
                    raise BadModel(f"{self._path} was changed or removed since it was loaded; load the model again")
                self._last = None  # the memory of the other shapes comes first
                _UNREACHABLE.clear()
                weights = self._path.with_suffix(".bin")
                with _clear_errors(f"OpenVINO cannot load {self._path}"), mapped_memory_given_back(weights):
                    found = _Compiled(
                        compile_model(
                            _core(),
                            self._device,
                            self._path,
                            self._part,
                            lambda: self._build(shapes),
                            shapes,
                            self._config,
                        )
                    )
                self._in_use[key] = found
            self._last = found
        return found

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Session.run`; the returned arrays are copies, safe across runs."""
        arrays = {name: np.asarray(value, self.inputs[name].dtype) for name, value in feeds.items()}
        compiled = self.compile({name: array.shape for name, array in arrays.items()})
        with compiled.lock, _clear_errors(f"OpenVINO cannot run {self._path}"):
            results = compiled.request.infer(arrays, share_inputs=True)
        return {name: results[index] for index, name in enumerate(self.outputs)}

    def drop(self) -> None:
        """See `Session.drop`."""
        self._last = None
        _let_go_of_unreachable()

    def release(self) -> None:
        """See `Session.release`."""
        compiled = self._last
        if compiled is not None:
            with compiled.lock:
                compiled.model.release_memory()


def check_device(device: Device) -> None:
    """Raises BackendUnavailable where OpenVINO sees no such device."""
    there = sorted({name.split(".")[0].lower() for name in _core().available_devices})
    if device not in there:
        raise BackendUnavailable(
            f"OpenVINO sees no {device} on this machine, only {', '.join(there) or 'nothing'}",
            option="device",
            hint="install the device's driver, or use `device` cpu",
        )


@contextmanager
def _clear_errors(what: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise BadModel(f"{what}: {_last_line(error)}") from error


def _spec(port: ov.Output) -> TensorSpec:
    shape = tuple(dim.get_length() if dim.is_static else None for dim in port.get_partial_shape())
    return TensorSpec(shape, port.get_element_type().to_dtype())


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__  # OpenVINO tells its source's lines first, the reason last
