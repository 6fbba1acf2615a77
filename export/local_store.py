"""From the hub to the local store: fetch, export, verify."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from cyclorama.engine.errors import InvalidOptions
from cyclorama.export.request import Format, Precision
from cyclorama.models.catalogue import find_entry
from cyclorama.models.errors import BadModel
from cyclorama.models.store import MANIFEST, stored, verify, writable_home


def pull(
    name: str,
    *,
    format: Format | None = None,
    precision: Precision = "fp16",
    progress: Callable[[str], None] = lambda stage: None,
) -> Path:
    """Makes a model of the catalogue ready to run in the local store and returns its folder.

    format: left open, what is there already will do, and `openvino` where there is nothing. A model
    that is damaged, or there in another format, is exported again; what was fetched before is not
    fetched again, and an interrupted download goes on where it stopped.
    Raises InvalidOptions, DownloadFailed, ExportFailed.
    """
    entry = find_entry(name)
    if entry.is_part:
        raise InvalidOptions(
            f"{name} is a part, fetched by `cyclorama export ... {'--lora' if entry.kind == 'lora' else '--tiny-vae'} "
            f"{name}`; it is not pulled by itself"
        )
    folder = stored(name)
    progress("verifying the files")
    if entry.embedded or _is_whole(folder, format):
        return folder
    writable_home()
    progress("loading torch")
    from cyclorama.export import export_checkpoint

    fresh = folder.with_name(f"{name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    export_checkpoint(name, fresh, format=format or "openvino", precision=precision, name=name, progress=progress)
    shutil.rmtree(folder, ignore_errors=True)
    return fresh.rename(folder)


def _is_whole(folder: Path, format: Format | None) -> bool:
    try:
        verify(folder)
        return format in (None, json.loads((folder / MANIFEST).read_text())["format"])
    except (BadModel, KeyError):
        return False
