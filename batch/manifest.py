"""What is to be done: a row for each picture, from photos, folders, or a table in CSV or JSON Lines."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args, get_origin

from cyclorama.batch.located import located, reading
from cyclorama.engine.checks import checked_values, declared, one_of, shown
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.files import FORMATS
from cyclorama.engine.options import PRESETS, CountOptions, EncodeOptions, GenerationOptions, SceneOptions, check_prompt

PHOTO_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp", ".heic", ".heif", ".jp2"}
)
_TABLES = (".csv", ".jsonl")
_OWN = ("photo", "output", "background", "preset")
MASKS = ("mask", "keep", "drop")
"""Options that name a picture of the photo's size."""
OPTIONS: dict[str, type] = {
    own.name: kind
    for kind in (SceneOptions, GenerationOptions, CountOptions, EncodeOptions)
    for own in fields(kind)
    if own.name not in ("count", "format")
}
"""Columns that are options of the engine's, and the class that declares each."""

_NETWORKS = ("mask_model", "matting_model")
_TEXTS = (*MASKS, *_NETWORKS, "background", "preset")
_OUTPUT = re.compile(r"(?:(?!\.)[^/\\\0]+/)*(?!\.)[^/\\\0]+")
_ENCODING = [own.name for own in fields(EncodeOptions) if own.name != "format"]


@dataclass(frozen=True)
class Row:
    """A picture to be made. output: its file's name within the output folder.  options: by name, for `prepare` and
    `paint`, with `background` and `preset`; those of the whole run included. line: of the table, 0 without one.
    """

    photo: Path
    output: str
    options: Mapping[str, Any]
    line: int = 0


def rows(sources: Sequence[Path], common: Mapping[str, Any], ending: str = ".png") -> Iterator[Row]:
    """The rows of photos, of folders' photos, or of one table; each output once.

    common: options of all rows, which a row's own replace.  ending: of outputs that are not named.
    Raises InvalidOptions, with the line of the table.
    """
    seen: dict[str, Path] = {}
    for row in _rows(sources, common, ending):
        if row.output in seen:
            where = f"line {row.line}: " if row.line else ""
            raise InvalidOptions(
                f"{where}{row.photo} and {seen[row.output]} would both be written to {row.output}; "
                "name outputs in a table, column `output`"
            )
        seen[row.output] = row.photo
        yield row


def _rows(sources: Sequence[Path], common: Mapping[str, Any], ending: str) -> Iterator[Row]:
    if any(source.suffix.lower() in _TABLES for source in sources):
        if len(sources) > 1:
            raise InvalidOptions("a table names all photos; give it alone")
        yield from _of_table(sources[0], common, ending)
        return
    for source in sources:
        with reading(source):
            found = sorted(_photos(source)) if source.is_dir() else [source]
        if not found:
            raise InvalidOptions(f"{source} holds no photos")
        for photo in found:
            yield Row(photo, f"{photo.stem}{ending}", dict(common))


def _photos(folder: Path) -> Iterator[Path]:
    return (one for one in folder.iterdir() if one.suffix.lower() in PHOTO_ENDINGS and not one.name.startswith("."))


def _of_table(table: Path, common: Mapping[str, Any], ending: str) -> Iterator[Row]:
    try:
        with reading(table), table.open(encoding="utf-8-sig", newline="") as file:
            for line, given in _csv(file, table) if table.suffix.lower() == ".csv" else _jsonl(file, table):
                yield _row(given, table.parent, common, ending, f"{table.name}, line {line}", line)
    except OSError as error:
        raise InvalidOptions(f"{table} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InvalidOptions(f"{table} is not in UTF-8") from None


def _csv(file: Any, table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(file, strict=True)
    try:
        _check_columns(reader.fieldnames or [], table)
        for given in reader:
            if None in given or None in given.values():
                raise InvalidOptions(f"{table.name}, line {reader.line_num}: as many values as columns are wanted")
            values = {name: _value(name, text) for name, text in given.items() if text != ""}
            yield reader.line_num, values
    except csv.Error as error:
        raise InvalidOptions(f"{table.name}, line {max(1, reader.line_num)}: {error}") from None


def _jsonl(file: Any, table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise InvalidOptions(f"{table.name}, line {number}: one JSON object is wanted")
        _check_columns(given, table)
        yield number, {name: value for name, value in given.items() if value is not None}


def _check_columns(names: Sequence[str] | Mapping[str, Any], table: Path) -> None:
    known = {*_OWN, *OPTIONS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidOptions(f"{table.name} has a column {unknown[0]!r}; there are {', '.join(sorted(known))}")
    if "photo" not in names:
        raise InvalidOptions(f"{table.name} has no column `photo`")


def _value(name: str, text: str) -> Any:
    """A CSV's text as the option's type; what it cannot be is left for the check, which says so."""
    if name not in OPTIONS:
        return text
    kind = declared(OPTIONS[name])[name][0]
    try:
        if kind is str:
            return text
        if kind is bool:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
                text.lower(), text
            )
        if get_origin(kind) is tuple:
            return tuple(part(word) for part, word in zip(get_args(kind), text.split(","), strict=True))
        return kind(text) if kind in (int, float) else text
    except ValueError:
        return text


def _row(given: dict[str, Any], folder: Path, common: Mapping[str, Any], ending: str, where: str, line: int) -> Row:
    try:
        if not isinstance(given.get("photo"), str) or "\0" in given["photo"]:
            raise InvalidOptions("there is no photo", option="photo")
        photo = located(given.pop("photo"), folder)
        output = given.pop("output", None) or f"{photo.stem}{ending}"
        check_output_name(output)
        options = {**common, **given}
        if "prompt" in given:  # the row's own background, whatever that of the run
            options.pop("background", None)
        for name, value in given.items():
            if name in _TEXTS:
                options[name] = _text(name, value, folder)
            elif name in OPTIONS:
                options |= checked_values(OPTIONS[name], {name: tuple(value) if isinstance(value, list) else value})
        return Row(photo, output, options, line)
    except InvalidOptions as error:
        raise InvalidOptions(f"{where}: {error}", option=error.option) from None


def _text(name: str, value: object, folder: Path) -> str | Path:
    """A column that names a file, or what may be one: files lie beside the table."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidOptions(f"{name} must be text, got {shown(value)}", option=name)
    if name == "preset":
        return one_of(name, value, PRESETS)
    if name in MASKS or (name in _NETWORKS and value.lower().endswith(".onnx")):
        return located(value, folder)
    return str(folder / value) if name == "background" and (folder / value).is_file() else value


def check_row(row: Row, folder: Path, only_masks: bool) -> None:
    """Refuses a row of which no picture in the output folder can come. Raises InvalidOptions."""
    try:
        kind = FORMATS[f".{row.output.rpartition('.')[2].lower()}"]
        if only_masks:
            if kind != "PNG":
                raise InvalidOptions(f"masks are written as .png, got {row.output}")
        elif "background" in row.options:
            _check_encoding(kind.lower(), tuple(encoding(row.options).items()))
        elif "prompt" in row.options:
            check_prompt(row.options["prompt"], row.options.get("negative_prompt", ""))
            _check_encoding(kind.lower(), tuple(encoding(row.options).items()))
        else:
            raise InvalidOptions("say what the background is: -p PROMPT, --background, --blur, or a column")
        is_called_so = row.output.rpartition("/")[2] == row.photo.name
        if is_called_so and (folder / row.output).resolve() == row.photo.resolve():
            raise InvalidOptions(f"{row.photo} is a photo itself and would be lost; name another folder with -o")
    except InvalidOptions as error:
        where = f"line {row.line}" if row.line else str(row.photo)
        raise InvalidOptions(f"{where}: {error}", option=error.option) from None


@lru_cache(maxsize=256)  # of a long table nearly all rows have the same
def _check_encoding(kind: Any, chosen: tuple[tuple[str, Any], ...]) -> None:
    EncodeOptions(kind, **dict(chosen))


def encoding(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a row's options that are its file's."""
    return {name: options[name] for name in _ENCODING if options.get(name) is not None}


def check_output_name(name: object) -> None:
    """Refuses names of outputs that would leave the folder, or whose ending is none that we write."""
    if not isinstance(name, str) or not _OUTPUT.fullmatch(name):
        raise InvalidOptions(
            f"an output is a name within the output folder, none of it hidden, got {shown(name)}", option="output"
        )
    stem, _, ending = name.rpartition(".")
    if not stem or f".{ending.lower()}" not in FORMATS:
        raise InvalidOptions(f"an output ends in {', '.join(FORMATS)}, got {name!r}", option="output")
