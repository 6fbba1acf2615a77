"""Cyclorama's runtime: the subject of a photo, untouched, on a background painted from a prompt.

    from cyclorama import BackgroundGenerator

    generator = BackgroundGenerator.load("nano")
    scene = generator.prepare("cat.jpg")
    result = generator.generate(scene, "a sandy beach at sunset", seed=7)
    result.save("out.png")

NumPy with OpenVINO or ONNX Runtime; no torch. Names are imported when they are first asked for (PEP 562), so that
`cyclorama.engine.errors` and `cyclorama.engine.options` come quickly. Checkpoints are turned into model folders by
`cyclorama.export`.

In a clone this folder holds links to the ones beside it; installed, they lie in it.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cyclorama.models.privacy import switch_off_telemetry

switch_off_telemetry()

if TYPE_CHECKING:
    from cyclorama.engine.compositing.background import Background
    from cyclorama.engine.cutout import Cutout, cut_out
    from cyclorama.engine.errors import (
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
    from cyclorama.engine.generator import BackgroundGenerator, Progress
    from cyclorama.engine.matting.hints import Hints
    from cyclorama.engine.matting.subject import find_subject
    from cyclorama.engine.options import (
        PRESETS,
        CountOptions,
        EncodeOptions,
        GenerationOptions,
        Limits,
        LoadOptions,
        SceneOptions,
        SubjectOptions,
    )
    from cyclorama.engine.painting import Step
    from cyclorama.engine.photo import Photo, load_photo
    from cyclorama.engine.picture import Picture, Result
    from cyclorama.engine.scene import Scene

__all__ = [
    "PRESETS",
    "BackendUnavailable",
    "Background",
    "BackgroundGenerator",
    "BadImage",
    "BadModel",
    "Cancelled",
    "CannotWrite",
    "CountOptions",
    "Cutout",
    "CycloramaError",
    "DownloadFailed",
    "EncodeOptions",
    "GenerationOptions",
    "Hints",
    "InvalidOptions",
    "Limits",
    "LoadOptions",
    "ModelNotFound",
    "NoHome",
    "NoSubject",
    "Photo",
    "Picture",
    "Progress",
    "Result",
    "Scene",
    "SceneOptions",
    "Step",
    "SubjectOptions",
    "cut_out",
    "find_subject",
    "load_photo",
]

_HOMES = {
    "Background": "compositing.background",
    "BackgroundGenerator": "generator",
    "Cutout": "cutout",
    "GenerationOptions": "options",
    "CountOptions": "options",
    "EncodeOptions": "options",
    "Hints": "matting.hints",
    "Limits": "options",
    "LoadOptions": "options",
    "SceneOptions": "options",
    "SubjectOptions": "options",
    "PRESETS": "options",
    "Photo": "photo",
    "Picture": "picture",
    "Progress": "generator",
    "Result": "picture",
    "Scene": "scene",
    "Step": "painting",
    "cut_out": "cutout",
    "find_subject": "matting.subject",
    "load_photo": "photo",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("cyclorama")
    if name not in __all__:
        raise AttributeError(f"module 'cyclorama' has no attribute {name!r}")
    value = getattr(import_module(f"cyclorama.engine.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return __all__
