"""A VAE's half in int8, layer by layer as what it changes allows. OpenVINO IR only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from cyclorama.engine.arrays import Array
from cyclorama.export.calibration import Feeds

# Of what the half gives to what the float one does, the peak being the float one's whole range: the root of the mean
# squared error is then a hundredth of that range. At 33 dB a grain was seen in what a trained KL VAE decodes.
LEAST_PSNR = 40.0
# Below this share of the multiplications in int8, turning values to int8 and back costs what int8 gains.
LEAST_SHARE = 0.5
# The ends are a hundredth of the work. What the residual connections carry past the layers would be rounded again and
# again: left float, a KL decoder of SD1.5's shape gains 2.3 dB for a thirtieth of its time.
_FLOAT = nncf.IgnoredScope(
    patterns=[".*conv_in.*", ".*conv_out.*"], types=["Add", "GroupNormalization"], validate=False
)
_RANKED_AT = 256  # pixels along a side: what single layers change is measured on crops


class QuantisedVAE:
    """A float network, its int8 form, and what lies between them.

    path: the float IR.  feeds: what it is fed in use, to calibrate on.  held_out: the same, to measure on.
    seen: what counts of its output.  `layers`: the multiplications of each that is in int8, by its name.
    """

    def __init__(
        self,
        path: Path,
        feeds: Sequence[Feeds],
        held_out: Sequence[Feeds],
        seen: Callable[[Array], Array],
    ) -> None:
        self._core = ov.Core()
        self._float = self._core.read_model(path)
        self._held_out, self._seen = held_out, seen
        self._int8 = nncf.quantize(
            self._float,
            nncf.Dataset(list(feeds)),
            subset_size=len(feeds),
            preset=nncf.QuantizationPreset.MIXED,  # Swish's values reach far up and hardly below zero: 3.5 dB
            ignored_scope=_FLOAT,
        )
        self.layers = _multiplications(self._int8, held_out[0])

    def fitting(self) -> tuple[ov.Model | None, dict[str, Any]]:
        """The network with as many layers in int8 as `LEAST_PSNR` allows, and what was measured, for the manifest.

        None where that is less than `LEAST_SHARE` of the multiplications. The layers are put back to float in the
        order of the noise that each adds by itself, over the multiplications that it saves; errors of different layers
        are taken to add up, and the whole is measured in the end.
        """
        references = [self._output(self._float, feeds) for feeds in self._held_out]
        psnr = self._psnr(self._int8, self._held_out, references)
        kept: list[str] = []
        if psnr < LEAST_PSNR:
            noise = self._noise_of_layers()
            order = sorted(noise, key=lambda name: noise[name] / self.layers[name], reverse=True)
            # By how much the noise must shrink, as a share of that of all layers together.
            allowed = 10 ** ((psnr - LEAST_PSNR) / 10) * sum(noise.values())
            while psnr < LEAST_PSNR and len(kept) < len(order):
                while len(kept) < len(order) and (sum(noise[name] for name in order[len(kept) :]) > allowed):
                    kept = order[: len(kept) + 1]
                psnr = self._psnr(self.with_float(kept), self._held_out, references)
                allowed *= 0.8
        work = sum(self.layers.values())
        share = 1 - sum(self.layers[name] for name in kept) / work if work else 0.0
        is_worth_it = share >= LEAST_SHARE
        facts = {
            "psnr": round(psnr, 1),
            "share_in_int8": round(share, 3) if is_worth_it else 0.0,
            "float_layers": [_layer(name) for name in sorted(kept)],
        }
        return (self.with_float(kept) if is_worth_it else None), facts

    def _noise_of_layers(self) -> dict[str, float]:
        """Mean squared error that each layer in int8 adds when all others are float."""
        feeds = [{name: _crop(value) for name, value in self._held_out[0].items()}]
        reference = [self._output(self._float, feeds[0])]
        noise = {}
        for name in self.layers:
            others = [other for other in self.layers if other != name]
            noise[name] = _error(self._output(self.with_float(others), feeds[0]), reference[0])
        return noise

    def with_float(self, layers: Iterable[str]) -> ov.Model:
        """The int8 network with some layers as they were."""
        model = self._int8.clone()
        originals = {node.get_friendly_name(): node for node in self._float.clone().get_ops()}
        ours = {node.get_friendly_name(): node for node in model.get_ops()}
        for name in layers:
            node = ours[name]
            node.input(0).replace_source_output(_unquantised(node.input(0).get_source_output()))
            node.input(1).replace_source_output(originals[name].input(1).get_source_output())
        model.validate_nodes_and_infer_types()
        return model

    def _output(self, model: ov.Model, feeds: Feeds) -> Array:
        fixed = model.clone()
        fixed.reshape({name: list(value.shape) for name, value in feeds.items()})
        compiled = self._core.compile_model(fixed, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return self._seen(np.asarray(compiled(feeds)[0], np.float32))

    def _psnr(self, model: ov.Model, all_feeds: Sequence[Feeds], references: Sequence[Array]) -> float:
        errors = [
            _error(self._output(model, feeds), reference)
            for feeds, reference in zip(all_feeds, references, strict=True)
        ]
        peak = max(float(np.ptp(reference)) for reference in references)
        return 10 * float(np.log10(peak**2 / max(float(np.mean(errors)), 1e-30)))


def _unquantised(source: ov.Output) -> ov.Output:
    node = source.get_node()
    return node.input(0).get_source_output() if node.get_type_name() == "FakeQuantize" else source


def _multiplications(model: ov.Model, feeds: Feeds) -> dict[str, int]:
    """Of each layer that is computed in int8, by its name."""
    fixed = model.clone()
    fixed.reshape({name: list(value.shape) for name, value in feeds.items()})
    work = {}
    for node in fixed.get_ordered_ops():
        if node.get_type_name() not in ("Convolution", "MatMul"):
            continue
        if node.input_value(0).get_node().get_type_name() == "FakeQuantize" and _is_constant(node.input_value(1)):
            weights = node.input(1).get_shape()
            work[node.get_friendly_name()] = int(np.prod(node.get_output_shape(0)) * np.prod(weights) / weights[0])
    return work


def _layer(name: str) -> str:
    """As PyTorch names it: OpenVINO's is `__module.decoder.conv_in/aten::_convolution/Convolution`."""
    return name.removeprefix("__module.").partition("/")[0]


def _is_constant(output: ov.Output) -> bool:
    node = output.get_node()
    sources = [port.get_source_output() for port in node.inputs()]
    return all(_is_constant(source) for source in sources) if sources else node.get_type_name() == "Constant"


def _crop(value: NDArray[Any]) -> NDArray[Any]:
    """The middle of an image, or of latents, as large as `_RANKED_AT` pixels at most."""
    side = _RANKED_AT if value.shape[1] == 3 else _RANKED_AT // 8
    top, left = (max(0, (size - side) // 2) for size in value.shape[2:])
    return np.ascontiguousarray(value[:, :, top : top + side, left : left + side])


def _error(a: Array, b: Array) -> float:
    return float(np.mean((a.astype(np.float64) - b) ** 2))
