"""The errors of Cyclorama, one small tree.

    CycloramaError
     ├─ InvalidOptions       options that contradict each other, the photo or the model
     ├─ BadImage             a photo or mask that cannot be read or used
     │   └─ NoSubject        no subject was found in the photo
     ├─ Cancelled            the caller asked to stop
     ├─ CannotWrite          a result cannot be written where it was asked for
     ├─ BackendUnavailable   OpenVINO, ONNX Runtime or a device is missing or fails here
     ├─ ModelNotFound        (models)
     ├─ BadModel             (models)
     ├─ DownloadFailed       (models)
     ├─ NoHome               (models)
     └─ ExportFailed         (export)

Every message is one line: what was wrong, what was got, what to do.
"""

from cyclorama.models.errors import BadModel, CycloramaError, DownloadFailed, ModelNotFound, NoHome, first_line

__all__ = [
    "BackendUnavailable",
    "BadImage",
    "BadModel",
    "Cancelled",
    "CannotWrite",
    "CycloramaError",
    "DownloadFailed",
    "InvalidOptions",
    "ModelNotFound",
    "NoHome",
    "NoSubject",
    "first_line",
]


class InvalidOptions(CycloramaError):
    """Options that are out of range or contradict each other, the photo or the model."""

    code = "invalid_options"


class BadImage(CycloramaError):
    """An image file that cannot be read, or whose size or kind does not fit."""

    code = "bad_image"


class NoSubject(BadImage):
    """The mask is empty, covers everything, or the mask network saw no contrast."""

    code = "no_subject"


class Cancelled(CycloramaError):
    """The painting was stopped by whoever asked for it."""

    code = "cancelled"


class CannotWrite(CycloramaError):
    """A result cannot be written: no such folder, no permission, no space."""

    code = "cannot_write"


class BackendUnavailable(CycloramaError):
    """The inference backend or device asked for cannot be used on this machine."""

    code = "backend_unavailable"
