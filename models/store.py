"""Where models lie on this machine, and whether they are whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from cyclorama.models.catalogue import CATALOGUE, ModelEntry, embedded, find_entry
from cyclorama.models.errors import BadModel, ModelNotFound, NoHome
from cyclorama.models.weights import why_no_weights

MANIFEST = "cyclorama.json"
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


def home() -> Path:
    """`CYCLORAMA_HOME`, else `~/.cache/cyclorama`. Raises NoHome where there is neither."""
    if given := os.environ.get("CYCLORAMA_HOME"):
        return Path(given)
    if persons := persons_home():
        return persons / ".cache" / "cyclorama"
    raise NoHome("there is no home folder here; set CYCLORAMA_HOME to a folder that may be written")


def persons_home() -> Path | None:
    """The home folder, None where there is none: a container's user that is in no list, and no HOME."""
    try:
        folder = Path("~").expanduser()
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None


def writable_home() -> Path:
    """`home`, made where it was not there yet. Raises NoHome where that cannot be, before any work is done for it."""
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
    except OSError as error:
        raise NoHome(
            f"{folder} cannot be written ({error.strerror}); set CYCLORAMA_HOME to a folder that can be"
        ) from None
    return folder


def stored(name: str) -> Path:
    """Where the model of that name lies, or would after `models pull`."""
    entry = find_entry(name)
    return embedded(name) if entry.embedded else home() / "models" / name


def is_present(entry: ModelEntry) -> bool:
    """Whether a model can be run without fetching anything."""
    try:
        return not entry.is_part and (stored(entry.name) / "model_index.json").is_file()
    except NoHome:
        return False


def resolve(model: str | os.PathLike[str]) -> Path:
    """The folder of a model: by its name in the catalogue, a str, or the folder itself, a Path.

    Raises ModelNotFound; for a model in the catalogue that is not there yet it says how to fetch it.
    """
    if not isinstance(model, str | os.PathLike) or not str(model):
        raise ModelNotFound(f"a model is a name of the catalogue or a folder's Path, got {model!r:.80}", option="model")
    if not isinstance(model, str):
        return _folder(Path(model))
    if model not in CATALOGUE and _HUB_ID.fullmatch(model):
        if (hub_folder(model) / "model_index.json").is_file():
            return hub_folder(model)
        raise ModelNotFound(
            f"{model} is not on this machine; if it is a hub's id, run: cyclorama models pull {model}", option="model"
        )
    entry = find_entry(model)
    if entry.is_part:
        raise ModelNotFound(
            f"{entry.name} is no model of its own but a part; export it into one: "
            f"cyclorama export SOURCE OUT_DIR {'--lora' if entry.kind == 'lora' else '--tiny-vae'} {entry.name}"
        )
    if not is_present(entry):
        raise ModelNotFound(
            f"{entry.name} is not on this machine yet; run: cyclorama models pull {entry.name} "
            f"({format_size(entry.download)} to download; licence: {entry.licence})"
        )
    return stored(entry.name)


def named_or_folder(text: str | Path) -> str | Path:
    """What a person typed, as `resolve` takes it: a name goes before a folder of that name, a folder before an id."""
    if isinstance(text, Path) or text in CATALOGUE:
        return text
    is_pulled = _HUB_ID.fullmatch(text) and not Path(text).exists() and hub_folder(text).is_dir()
    return text if is_pulled else Path(text)


def _folder(path: Path) -> Path:
    try:
        if path.is_dir():
            return path
        if path.is_file():
            why = why_no_weights(path) or f"is a file; export it first: cyclorama export {path} OUT_DIR"
            raise ModelNotFound(f"{path} {why}", option="model")
    except (OSError, ValueError):  # what no file can be called
        pass
    scheme, separator, rest = str(path).partition(":/")
    if separator:
        address = f"{scheme}://{rest.lstrip('/')}"
        raise ModelNotFound(f"{address} is a web address; export its checkpoint to a folder, and give that")
    if _HUB_ID.fullmatch(str(path)):
        raise ModelNotFound(
            f"there is no folder {path}; if it is a hub's id, run: cyclorama models pull {path}, "
            f"or of a checkpoint: cyclorama export {path} OUT_DIR"
        )
    find_entry(str(path))  # which says what names there are
    raise ModelNotFound(f"there is no folder {path}", option="model")


def format_size(size: int | None) -> str:
    """Bytes as people say them."""
    if size is None:
        return "size told by the hub"
    return f"about {size / 1e9:.1f} GB" if size >= 1e9 else f"about {size / 1e6:.0f} MB"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: Path, kind: str) -> str:
    """The sum of a file: its kind (`md5`, `sha256`), a colon, and hexadecimal."""
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, partial(hashlib.new, kind, usedforsecurity=False)).hexdigest()}"


def has_digest(path: Path, expected: str) -> bool:
    """Whether a file has a sum, given as `digest` gives it."""
    return digest(path, expected.partition(":")[0]) == expected


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a model folder but its manifest, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files if path.name != MANIFEST}


def hub_folder(repository: str) -> Path:
    """Where a model folder of a hub's lies, or would after `models pull owner/name`."""
    return home() / "models" / repository.replace("/", "--")


def verify(folder: Path, only: Collection[str] | None = None) -> int:
    """Holds a model folder's files against its manifest; returns how many there are.

    only: of the manifest's files those that were wanted, where a repository has others in another format.

    Raises BadModel naming the files that are missing or differ, or when there is no manifest.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected: dict[str, str] = manifest["sha256"]
    except FileNotFoundError:
        raise BadModel(f"{folder} has no {MANIFEST} to check it against; it was not exported by cyclorama") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(f"{folder / MANIFEST} cannot be read ({error}); fetch or export the model again") from error
    wrong = []
    if only is not None:
        expected = {name: digest for name, digest in expected.items() if name in only}
    for relative, digest in expected.items():
        path = folder / relative
        if not path.is_file():
            wrong.append(f"{relative} is missing")
        elif sha256(path) != digest:
            wrong.append(f"{relative} differs")
    if wrong:
        raise BadModel(f"{folder} is damaged: {', '.join(wrong)}; fetch or export the model again")
    return len(expected)
