"""Where photos and pictures lie: in folders, or in an object store at addresses such as `s3://bucket/folder`.

An address is a UPath (universal_pathlib, over fsspec), which has the methods of a Path that are used here. S3's objects
come into being whole, so writing one is atomic.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from cyclorama.engine.errors import BadImage, CannotWrite, CycloramaError, InvalidOptions, first_line
from cyclorama.engine.files import write_whole
from cyclorama.models.store import writable_home

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://(.+)", re.IGNORECASE)
_STORES = ("s3", "gs")


def located(text: str, folder: Path | None = None) -> Path:
    """A path, or an address. folder: where relative ones begin. Raises InvalidOptions for a store that is not known."""
    address = _ADDRESS.fullmatch(text)
    if address is None:
        return Path(text) if folder is None else folder / text
    if address[1] not in _STORES:
        raise InvalidOptions(f"{text}: there is no store {address[1]}://; {' and '.join(_STORES)} are known")
    try:
        from upath import UPath

        where = UPath(text)
        where.fs  # noqa: B018  # the store's own package is wanted here
    except ImportError as error:
        raise InvalidOptions(
            f"{text} needs more than is installed ({error}); pip install 'cyclorama[stores]'"
        ) from None
    return cast("Path", where)


def existing(text: str) -> Path:
    """The same of something that must be there. Raises InvalidOptions."""
    path = located(text)
    with reading(path):
        if not path.exists():
            raise InvalidOptions(f"there is no {path}")
    return path


def is_remote(path: Path) -> bool:
    """Whether it is an address."""
    return not isinstance(path, Path)


def whole(path: Path) -> Path:
    """The same, to be understood in any folder."""
    return path if is_remote(path) else path.absolute()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a store's client says of an address in the block is raised as InvalidOptions."""
    try:
        yield
    except CycloramaError:
        raise
    except Exception as error:
        if not is_remote(path):
            raise
        raise InvalidOptions(
            f"{path} cannot be read ({first_line(error)}); look at its name and the credentials"
        ) from None


def state(path: Path) -> str:
    """Size and time, by which a change is seen. Raises OSError."""
    try:
        now = path.stat()
    except OSError:
        raise
    except Exception as error:  # whatever the store's client says
        raise OSError(first_line(error)) from None
    return f"{now.st_size} {now.st_mtime_ns}"


def content(path: Path) -> Path | bytes:
    """What a photo is loaded from. Raises BadImage where an object cannot be read."""
    if not is_remote(path):
        return path
    try:
        return path.read_bytes()
    except Exception as error:  # whatever the store's client says
        raise BadImage(f"{path} cannot be read ({first_line(error)})") from None


def write(path: Path, data: bytes) -> None:
    """Puts a file or an object in its place, whole, with the folders that it needs. Raises CannotWrite."""
    if not is_remote(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot write {path.parent}: {error.strerror}; name another folder with -o") from None
        write_whole(path, data)
        return
    try:
        path.write_bytes(data)
    except Exception as error:  # whatever the store's client says
        raise CannotWrite(
            f"cannot write {path} ({first_line(error)}); look at its name and at the credentials"
        ) from None


def here(folder: Path) -> Path:
    """Where on this machine a journal is kept: in the folder itself; of an address, in our home. Raises NoHome."""
    if not is_remote(folder):
        return folder
    return writable_home() / "batches" / hashlib.sha256(str(folder).encode()).hexdigest()[:16]


def files_in(folder: Path) -> set[str]:
    """The names, from there, of all that lies under an address."""
    store, root = _store(folder)
    return {name.removeprefix(f"{root}/") for name in store.find(root)}


def contents(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Of those files or objects of a folder that are there."""
    if is_remote(folder):
        store, root = _store(folder)
        wanted = [f"{root}/{name}" for name in names]
        found = store.cat(wanted, on_error="omit") if wanted else {}
        return {name.removeprefix(f"{root}/"): data for name, data in found.items()}
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def remove(folder: Path) -> None:
    """All of a folder, or under an address, if it is there."""
    if is_remote(folder):
        store, root = _store(folder)
        if store.find(root):
            store.rm(root, recursive=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _store(folder: Path) -> tuple[Any, str]:
    where = cast("Any", folder)
    return where.fs, where.path.rstrip("/")
