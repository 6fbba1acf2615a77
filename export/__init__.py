"""Checkpoints in, model folders out: the only home of torch beside `training`.

    from cyclorama.export import export_checkpoint
    export_checkpoint("path/to/checkpoint", "my-model", format="openvino", precision="fp16")

torch and its kin are imported when they are first wanted: what was asked for can be checked before
(`export.request`). For one thread at a time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cyclorama.export.errors import ExportFailed
from cyclorama.export.request import Recipe, check_request
from cyclorama.models.errors import NoHome
from cyclorama.models.store import persons_home

if TYPE_CHECKING:
    from cyclorama.export.calibration import Calibration
    from cyclorama.export.exporter import export_checkpoint
    from cyclorama.export.local_store import pull

__all__ = ["Calibration", "ExportFailed", "Recipe", "check_request", "export_checkpoint", "pull"]

_HOMES = {"Calibration": "calibration", "export_checkpoint": "exporter", "pull": "local_store"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cyclorama.export' has no attribute {name!r}")
    if name == "export_checkpoint" and persons_home() is None:
        raise NoHome("exporting needs NNCF, which needs a home folder; set HOME to a folder that may be written")
    return getattr(import_module(f"cyclorama.export.{_HOMES[name]}"), name)
