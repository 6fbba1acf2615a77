"""Files as arguments: paths, and `-` for standard input and output."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from cyclorama.commands.console import print_json, print_path, remark
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.options import EncodeOptions

if TYPE_CHECKING:
    from cyclorama import Picture
    from cyclorama.places.place import Place


class Standard(Enum):
    """What `-` stands for."""

    STREAM = "-"


File = Path | Standard


class FileType(click.ParamType[File]):
    """A file, or `-` for standard input or output."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> File:
        """See click."""
        return Standard.STREAM if value == "-" else Path(value)


def with_standard_input(**files: File | None) -> dict[str, Path | BinaryIO | None]:
    """The same files, with standard input in the place of `-`."""
    wanted = [name for name, file in files.items() if file is Standard.STREAM]
    if len(wanted) > 1:
        raise InvalidOptions(f"{' and '.join(wanted)} cannot both be `-`, standard input; name a file for all but one")
    if wanted and sys.stdin is None:
        raise InvalidOptions(f"the {wanted[0]} is `-`, standard input, but that is closed; pipe a file into it")
    if wanted and sys.stdin.isatty():
        raise InvalidOptions(f"the {wanted[0]} is `-`, standard input, but that is a terminal; pipe a file into it")
    return {name: sys.stdin.buffer if isinstance(file, Standard) else file for name, file in files.items()}


def check_standard_output(as_json: bool = False) -> None:
    """Raises InvalidOptions where no picture can be written there."""
    if as_json:
        raise InvalidOptions("--json prints to standard output too; name a file with -o")
    if sys.stdout is None:
        raise InvalidOptions("-o - writes to standard output, but that is closed; redirect it to a file")
    if sys.stdout.isatty():
        raise InvalidOptions("-o - writes to standard output, but that is a terminal; redirect it to a file")


def paths(*inputs: Any) -> list[Any]:
    """Inputs as paths: standard input may be a file, too, that a shell opened."""
    return ["/dev/stdin" if one in (Standard.STREAM, "-") else one for one in inputs]


@dataclass
class Pictures:
    """Where pictures go: files, or one to standard output (`paths` is empty then)."""

    paths: list[Path]
    kind: str
    as_json: bool
    encoding: dict[str, Any]
    place: Place | None = None
    _written: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def named(
        cls,
        photo: File,
        output: File | None,
        count: int,
        kind: str | None,
        as_json: bool,
        encoding: dict[str, Any],
        place: Place | None = None,
    ) -> Pictures:
        """OUT, or OUT-1 to OUT-N; left open, the first names that are free in the current folder.

        encoding: as for `Picture.encode`.  place: whose rules each picture is held against once it is written.
        """
        if output is Standard.STREAM:
            if count > 1:
                raise InvalidOptions(f"standard output takes one picture, got --count {count}; name a file with -o")
            check_standard_output(as_json)
            return cls([], (kind or ("png" if place is None else "jpeg")).upper(), as_json, encoding, place)
        if kind is not None:
            raise InvalidOptions("--format goes with -o -; a file's ending says its format")
        assert not isinstance(output, Standard)
        ending = ".png" if place is None else place.ending
        return cls(_output_names(f"{stem(photo)}-background", output, count, ending), "", as_json, encoding, place)

    @property
    def names(self) -> list[str]:
        """Of the files, for people."""
        return [path.name for path in self.paths] or ["standard output"]

    def _kinds(self) -> set[str]:
        from cyclorama.engine.files import image_format

        return {image_format(path) for path in self.paths} or {self.kind}

    def check(self, inputs: list[Any], text: str) -> None:
        """Refuses, before any work, files that cannot be written or signed, are inputs, or cannot hold a prompt."""
        from cyclorama.engine.files import check_output
        from cyclorama.engine.provenance import signer

        signer()

        for path in self.paths:
            check_output(path, inputs)
        self.check_format(text=text)
        for kind in self._kinds():
            EncodeOptions(kind.lower(), **self.encoding)  # type: ignore[arg-type]

    def check_format(self, **what: Any) -> None:
        """Refuses what the files' formats cannot hold; see `engine.files.check_format`."""
        from cyclorama.engine.files import check_format

        for kind in self._kinds():
            check_format(kind, **what)

    def write(self, number: int, picture: Picture, facts: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Writes a picture and prints its name, or keeps its facts for `close`."""
        if not self.paths:
            data = picture.encode(self.kind, **self.encoding)
            self._breaks(data)
            sys.stdout.buffer.write(data)
            return
        path = self.paths[number]
        picture.save(path, **self.encoding)
        breaks = self._breaks(path)
        if self.as_json:
            held = {} if self.place is None else {"breaks": breaks}
            self._written.append({"file": str(path), **picture.summary(), **facts, **held})
        else:
            print_path(path)

    def _breaks(self, picture: Path | bytes) -> list[str]:
        if self.place is None:
            return []
        from cyclorama.places.check import broken_rules

        breaks = broken_rules(picture, self.place)
        for rule in breaks:
            remark(f"{self.place.name}: {rule}")
        return breaks

    def close(self, photo: File) -> None:
        """Prints the one JSON object, where that is wanted."""
        if self.as_json:
            print_json({"photo": "-" if isinstance(photo, Standard) else str(photo), "images": self._written})


def stem(photo: File) -> str:
    """What files that are made of a photo are called after."""
    return "stdin" if isinstance(photo, Standard) else photo.stem


def free_name(name: str) -> Path:
    """NAME.png, or the first of NAME-2.png and so on that is free in the current folder."""
    return _output_names(name, None, 1, ".png")[0]


def _output_names(name: str, output: Path | None, count: int, ending: str) -> list[Path]:
    if output is not None and count == 1:
        return [output]
    if output is not None:
        numbered = [output.with_stem(f"{output.stem}-{number}") for number in range(1, count + 1)]
        for path in numbered:
            if os.path.lexists(path):
                raise InvalidOptions(f"{path} exists already; remove it or name another file with -o")
        return numbered
    free: list[Path] = []
    number = 1
    while len(free) < count:
        path = Path(f"{name}{'' if number == 1 else f'-{number}'}{ending}")
        if not os.path.lexists(path):
            free.append(path)
        number += 1
    return free
