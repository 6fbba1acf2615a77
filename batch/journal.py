"""What is done: one line of JSON for each picture, written after its file is in place."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from cyclorama.batch.manifest import Row
from cyclorama.engine.errors import CannotWrite, InvalidOptions

NAME = "journal.jsonl"
_LOCK = ".cyclorama-batch.lock"


class Journal:
    """The journal of an output folder, which is locked while it is open: one run at a time.

    Each record: output, photo, key (see `key`), state (`done` or `failed`), and what `cyclorama.batch.worker` found.
    A line that a crash cut off is passed over, and its picture is made again. Raises CannotWrite, InvalidOptions.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / _LOCK, timeout=0)
            self._lock.acquire()
        except Timeout:
            raise InvalidOptions(f"another run is writing to {folder}; wait for it, or name another folder") from None
        except OSError as error:
            raise CannotWrite(f"cannot write {folder}: {error.strerror}; name another folder with -o") from None
        self._last = {record["output"]: _kept(record) for record in records(folder)}
        try:
            self._file = (folder / NAME).open("ab")
            if self._file.tell() and not _ends_whole(folder / NAME):
                self._file.write(b"\n")
        except OSError as error:
            self._lock.release()
            raise CannotWrite(f"cannot write {folder / NAME}: {error.strerror}; name another folder with -o") from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.release()

    def state(self, row: Row, key: str, *, verify: bool = False) -> Literal["due", "done", "failed"]:
        """What became of a row; due is what was never made, and what has changed: photo, options, the picture's file.

        verify: the picture's file is held against its sha256 as well.
        """
        last = self._last.get(row.output)
        if last is None or last[1] != key:
            return "due"
        state, _, digest = last
        if state == "failed":
            return "failed"
        file = self._folder / row.output
        return "due" if not file.is_file() or (verify and sha256(file) != digest) else "done"

    def add(self, record: Mapping[str, Any]) -> None:
        """Writes a record through to the disk. Raises CannotWrite."""
        try:
            self._file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise CannotWrite(
                f"cannot write {self._folder / NAME}: {error.strerror}; make room, and run again"
            ) from None
        self._last[str(record["output"])] = _kept(record)


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """All records of a folder's journal, in the order in which they were made."""
    try:
        with (folder / NAME).open("rb") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict) and {"output", "state"} <= record.keys():
                    yield record
    except FileNotFoundError:
        return


def key(row: Row, run: Mapping[str, Any]) -> str:
    """Of a row's photo (its size and time) and of all that its picture depends on; run: the model's name and so on.

    Raises OSError where there is no photo.
    """
    digest = hashlib.sha256()
    for file in (row.photo, *(row.options.get(name) for name in ("mask", "keep", "drop", "background"))):
        if isinstance(file, Path):
            state = file.stat()
            digest.update(f"{file} {state.st_size} {state.st_mtime_ns} ".encode("utf-8", "surrogateescape"))
    told = {name: str(value) if isinstance(value, Path) else value for name, value in row.options.items()}
    digest.update(json.dumps([told, dict(run)], sort_keys=True, default=str).encode())
    return digest.hexdigest()[:32]


def sha256(file: Path) -> str:
    """Of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _kept(record: Mapping[str, Any]) -> tuple[str, str, str]:
    """What is held of a record for as long as the run lasts: state, key, checksum."""
    return record["state"], record.get("key", ""), record.get("sha256", "")


def _ends_whole(file: Path) -> bool:
    with file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read(1) == b"\n"
