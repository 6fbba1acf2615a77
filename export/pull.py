"""From the hub to the local store: fetch, export, verify."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.errors import InvalidOptions
from export.exporter import export_checkpoint
from export.trace import Format, Precision
from models.catalogue import find_entry
from models.store import is_present, stored, verify


def pull(
    name: str,
    *,
    format: Format = "openvino",
    precision: Precision = "fp16",
    progress: Callable[[str], None] = lambda stage: None,
) -> Path:
    """Makes a model of the catalogue ready to run in the local store and returns its folder.

    What was fetched before is not fetched again, and an interrupted download goes on where it stopped.
    Raises InvalidOptions, DownloadFailed, ExportFailed, BadModel.
    """
    entry = find_entry(name)
    if entry.is_part:
        raise InvalidOptions(
            f"{name} is a part, fetched by `cyclorama export ... {'--lora' if entry.kind == 'lora' else '--tiny-vae'} "
            f"{name}`; it is not pulled by itself"
        )
    folder = stored(name)
    if not is_present(entry):
        export_checkpoint(
            name,
            folder,
            format=format,
            precision=precision,
            name=name,
            progress=progress,
        )
    progress("verifying the files")
    verify(folder)
    return folder
