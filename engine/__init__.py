"""Cyclorama's runtime: the subject of a photo, untouched, on a background painted from a prompt.

    from engine import BackgroundGenerator

    generator = BackgroundGenerator.load("nano")
    scene = generator.prepare("cat.jpg")
    result = generator.generate(scene, "a sandy beach at sunset", seed=7)
    result.save("out.png")

NumPy with OpenVINO or ONNX Runtime; no torch. Names are imported when they are first asked for (PEP 562), so that
`engine.errors` and `engine.options` come quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import models  # noqa: F401 - first, for it switches off what libraries would send home

if TYPE_CHECKING:
    from engine.compositing.background import Background
    from engine.cutout import Cutout, cut_out
    from engine.errors import (
        BackendUnavailable,
        BadImage,
        BadModel,
        Cancelled,
        CannotWrite,
        CycloramaError,
        DownloadFailed,
        InvalidOptions,
        ModelNotFound,
        NoHome,
        NoSubject,
    )
    from engine.generator import BackgroundGenerator, Progress, Step
    from engine.matting.subject import Hints, find_subject
    from engine.options import PRESETS, GenerationOptions
    from engine.photo import Photo, load_photo
    from engine.picture import Picture, Result
    from engine.scene import Scene

__all__ = [
    "PRESETS",
    "BackendUnavailable",
    "Background",
    "BackgroundGenerator",
    "BadImage",
    "BadModel",
    "Cancelled",
    "CannotWrite",
    "Cutout",
    "CycloramaError",
    "DownloadFailed",
    "GenerationOptions",
    "Hints",
    "InvalidOptions",
    "ModelNotFound",
    "NoHome",
    "NoSubject",
    "Photo",
    "Picture",
    "Progress",
    "Result",
    "Scene",
    "Step",
    "cut_out",
    "find_subject",
    "load_photo",
]

_HOMES = {
    "Background": "compositing.background",
    "BackgroundGenerator": "generator",
    "Cutout": "cutout",
    "GenerationOptions": "options",
    "Hints": "matting.subject",
    "PRESETS": "options",
    "Photo": "photo",
    "Picture": "picture",
    "Progress": "generator",
    "Result": "picture",
    "Scene": "scene",
    "Step": "generator",
    "cut_out": "cutout",
    "find_subject": "matting.subject",
    "load_photo": "photo",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(import_module(f"engine.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return __all__
