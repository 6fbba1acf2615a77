"""Cyclorama's runtime: the subject of a photo, untouched, on a background painted from a prompt.

    from engine import BackgroundGenerator

    generator = BackgroundGenerator.load("nano")
    scene = generator.prepare("cat.jpg")
    result = generator.generate(scene, "a sandy beach at sunset", seed=7)
    result.save("out.png")

NumPy with OpenVINO or ONNX Runtime; no torch.
"""

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
from engine.result import Result
from engine.scene import Scene
from engine.subject import Hints, find_subject

__all__ = [
    "PRESETS",
    "BackendUnavailable",
    "BackgroundGenerator",
    "BadImage",
    "BadModel",
    "CannotWrite",
    "CycloramaError",
    "DownloadFailed",
    "GenerationOptions",
    "Hints",
    "InvalidOptions",
    "ModelNotFound",
    "NoSubject",
    "Photo",
    "Result",
    "Scene",
    "Step",
    "find_subject",
    "load_photo",
]
