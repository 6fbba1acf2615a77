"""Switches off what libraries send home by default, before any of them is imported.

The runtime needs no network and leaves nothing outside its own folders. ONNX Runtime (from 1.29 on, on Linux),
OpenVINO's converter, NNCF and huggingface_hub would report their use, and the first three keep an identifier in the
home folder.
"""

from __future__ import annotations

import os
import sys

_VARIABLES = {
    "ORT_DISABLE_TELEMETRY": "1",  # read once, while onnxruntime is imported
    "HF_HUB_DISABLE_TELEMETRY": "1",  # of diffusers and transformers too
}


def switch_off_telemetry() -> None:
    """Takes effect on libraries that this process, or a child of it, imports from now on.

    A variable that the person has set stays as it is.
    """
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    # It has no switch but a file in the home folder. OpenVINO and NNCF go without it where it cannot be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
