"""Checkpoints in, model folders out: the only home of torch beside `models/training`.

from export import export_checkpoint
export_checkpoint("path/to/checkpoint", "my-model", format="openvino", precision="fp16")
"""

import models  # noqa: F401, I001 - first, for it switches off what libraries would send home

from export.calibration import Calibration
from export.errors import ExportFailed
from export.exporter import export_checkpoint
from export.pull import pull
from export.quantisation import Recipe

__all__ = ["Calibration", "ExportFailed", "Recipe", "export_checkpoint", "pull"]
