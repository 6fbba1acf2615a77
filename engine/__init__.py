"""Cyclorama's runtime: the subject of a photo, untouched, on a background painted from a prompt.

    from engine import BackgroundGenerator

    generator = BackgroundGenerator.load("nano")
    scene = generator.prepare("cat.jpg")
    result = generator.generate(scene, "a sandy beach at sunset", seed=7)
    result.save("out.png")

NumPy with OpenVINO or ONNX Runtime; no torch.
"""

import models  # noqa: F401, I001 - first, for it switches off what libraries would send home

from engine.compositing.background import Background
from engine.cutout import Cutout, cut_out
from engine.errors import (
    BackendUnavailable,
    BadImage,
    BadModel,
    CannotWrite,
    CycloramaError,
    DownloadFailed,
    InvalidOptions,
    ModelNotFound,
    NoSubject,
)
from engine.generator import BackgroundGenerator, Step
from engine.options import PRESETS, GenerationOptions
from engine.photo import Photo, load_photo
from engine.picture import Picture, Result
from engine.scene import Scene
from engine.matting.subject import Hints, find_subject

__all__ = [
    "PRESETS",
    "BackendUnavailable",
    "Background",
    "BackgroundGenerator",
    "BadImage",
    "BadModel",
    "CannotWrite",
    "Cutout",
    "CycloramaError",
    "DownloadFailed",
    "GenerationOptions",
    "Hints",
    "InvalidOptions",
    "ModelNotFound",
    "NoSubject",
    "Photo",
    "Picture",
    "Result",
    "Scene",
    "Step",
    "cut_out",
    "find_subject",
    "load_photo",
]
