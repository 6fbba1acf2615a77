"""What is done: one line of JSON for each picture, written after its file is in place."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from cyclorama.batch.located import files_in, here, is_remote, reading, state, write
from cyclorama.batch.manifest import Row
from cyclorama.engine.errors import CannotWrite, CycloramaError, InvalidOptions

NAME = "journal.jsonl"
_LOCK = ".cyclorama-batch.lock"
_EVERY = 30.0  # seconds, in which the journal of an address is sent there


class Journal:
    """The journal of an output folder, which is locked while it is open: one run at a time.

    Each record: output, photo, key (see `key`), state (`done` or `failed`), and what `cyclorama.batch.worker` found.
    A line that a crash cut off is passed over, and its picture is made again. Of an address the journal is kept on this
    machine, and sent there now and then; it is locked on this machine alone. Raises CannotWrite, InvalidOptions.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = here(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self._folder / _LOCK, timeout=0)
            self._lock.acquire()
        except Timeout:
            raise InvalidOptions(f"another run is writing to {folder}; wait for it, or name another folder") from None
        except OSError as error:
            raise CannotWrite(f"cannot write {folder}: {error.strerror}; name another folder with -o") from None
        self._out, self._copy = folder, folder / NAME if is_remote(folder) else None
        self._present: set[str] | None = None
        self._sent = time.monotonic()
        try:
            if self._copy is not None:
                with reading(folder):
                    _take_over(self._copy, self._folder / NAME)
                    self._present = files_in(folder)  # in one listing: to ask for each picture would take minutes
            self._last = {record["output"]: _kept(record) for record in records(folder)}
            self._file = (self._folder / NAME).open("ab")
            if self._file.tell() and not _ends_whole(self._folder / NAME):
                self._file.write(b"\n")
        except OSError as error:
            self._lock.release()
            raise CannotWrite(
                f"cannot write {self._folder / NAME}: {error.strerror}; name another folder with -o"
            ) from None
        except CycloramaError:
            self._lock.release()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        try:
            self._send()
        finally:
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
        file = self._out / row.output
        is_there = file.is_file() if self._present is None else row.output in self._present
        with reading(file):
            return "due" if not is_there or (verify and sha256(file) != digest) else "done"

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
        if time.monotonic() - self._sent > _EVERY:
            with suppress(CannotWrite):  # the line is on this machine's disk; half a minute later it may go
                self._send()

    def _send(self) -> None:
        """The journal of an address lies there too, for another machine to go on."""
        self._sent = time.monotonic()
        if self._copy is not None:
            write(self._copy, (self._folder / NAME).read_bytes())


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """All records of a folder's journal, in the order in which they were made."""
    try:
        with (here(folder) / NAME).open("rb") as file:
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
    for file in (row.photo, *(row.options.get(name) for name in ("mask", "keep", "drop"))):
        if file is not None:
            digest.update(f"{file} {state(file)} ".encode("utf-8", "surrogateescape"))
    with suppress(OSError, ValueError):  # a colour, a word
        digest.update(state(Path(row.options["background"])).encode() if "background" in row.options else b"")
    told = {name: str(value) if isinstance(value, Path) else value for name, value in row.options.items()}
    digest.update(json.dumps([told, dict(run)], sort_keys=True, default=str).encode())
    return digest.hexdigest()[:32]


def sha256(file: Path) -> str:
    """Of a file's or an object's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _kept(record: Mapping[str, Any]) -> tuple[str, str, str]:
    """What is held of a record for as long as the run lasts: state, key, checksum."""
    return record["state"], record.get("key", ""), record.get("sha256", "")


def _take_over(copy: Path, file: Path) -> None:
    """What another machine has written since; the longer one is the later."""
    with suppress(FileNotFoundError):
        data = copy.read_bytes()
        if not file.is_file() or file.stat().st_size < len(data):
            write(file, data)


def _ends_whole(file: Path) -> bool:
    with file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read(1) == b"\n"
