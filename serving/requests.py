"""What a request asks for: OpenAI's fields with OpenAI's meaning, and the engine's options under their own names.

Every field is in one table, with its schema, from which forms and JSON bodies are read and the API is described. What
is not in it is refused by name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field as Limit
from pydantic import TypeAdapter, ValidationError

from cyclorama.engine.errors import CycloramaError, InvalidOptions
from cyclorama.engine.options import (
    CountOptions,
    EncodeOptions,
    GenerationOptions,
    ImageFormat,
    Limits,
    Preset,
    SceneOptions,
    SubjectOptions,
    check_prompt,
)
from cyclorama.models.catalogue import SHIPPED_MASK_MODELS

LIMITS = Limits(pixels=50_000_000, size=1024, num_inference_steps=100, prompt_length=32_000, count=10)
"""What a server accepts."""
_MOST_PARTIAL = 3
_LONGEST_NAME = 512
_PRESET_OF_QUALITY: dict[str, Preset | None] = {"low": "fast", "medium": "balanced", "high": "quality", "auto": None}
Quality = Literal["low", "medium", "high", "auto"]
_QUALITY_OF_PRESET: dict[str | None, Quality] = {preset: name for name, preset in _PRESET_OF_QUALITY.items()}  # type: ignore[misc]
MaskModelName = Literal[tuple(SHIPPED_MASK_MODELS)]  # type: ignore[valid-type]
# The engine's names that are OpenAI's for something else, or not a request's to choose.
_CALLED = {"size": "working_size", "count": "n", "quality": "output_compression", "format": "output_format"}
_AT_MOST = {"size": LIMITS.size, "num_inference_steps": LIMITS.num_inference_steps, "best_of": LIMITS.count}
_FILES = ("image", "mask", "keep", "drop", "backdrop")


@contextmanager
def in_own_words(has_size: bool = False) -> Iterator[None]:
    """Errors of the engine name the field that the request has for an option. has_size: a canvas was given as size."""
    try:
        yield
    except CycloramaError as error:
        if not isinstance(error, Refused):
            called = {**_CALLED, "canvas": "size"} if has_size else _CALLED
            own = error.option or ""
            if own in called:
                error.option = called[own]
                error.args = (str(error).replace(f"{own} must", f"{called[own]} must"),)
        raise


class Refused(InvalidOptions):
    """A field that is missing, unknown, or cannot be honoured. option: its name."""

    code = "invalid_field"


@dataclass(frozen=True)
class Field:
    """One field of a request. kind: its type, as annotations have it; None: a file."""

    name: str
    kind: Any
    description: str
    is_required: bool = False
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_list(self) -> bool:
        """Whether it has several values: `1,2`, JSON, or `name[]` more than once."""
        return "tuple[" in str(self.kind)

    @property
    def schema(self) -> dict[str, Any]:
        """In JSON Schema, for a form."""
        if self.kind is None:
            return {"type": "string", "contentMediaType": "application/octet-stream", "description": self.description}
        schema = TypeAdapter(self.kind).json_schema()
        options = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
        schema = options[0] if len(options) == 1 else {"anyOf": options}
        names = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum"}
        limits = {names[name]: limit for name, limit in self.limits.items()}
        if schema.get("type") == "array":
            schema = {"type": "string", "examples": [",".join("1" for _ in schema.get("prefixItems", ()))]}
        elif limits:
            schema = {**schema, **limits}
        return {**schema, "description": self.description}

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        kind, limits = self.kind, dict[str, Any](self.limits)
        if limits and not self.is_list:
            kind = Annotated[self.kind, Limit(**limits)]
        return TypeAdapter(kind)

    def read(self, value: Any) -> Any:
        """The value as its type. Raises Refused."""
        if isinstance(value, str) and self.is_list:
            try:
                value = json.loads(value if value.lstrip().startswith("[") else f"[{value}]")
            except (ValueError, RecursionError):
                raise Refused(
                    f"{self.name} is numbers with commas between, got {value[:50]!r}", option=self.name
                ) from None
        if isinstance(value, str) and "bool" in str(self.kind):
            value = {"true": True, "false": False}.get(value.lower(), value)
        if isinstance(value, bool) and "bool" not in str(self.kind):
            raise Refused(f"{self.name} must not be true or false", option=self.name)
        if isinstance(value, bytes):
            raise Refused(f"{self.name} is no file", option=self.name)
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            told = "wants numbers with commas between" if self.is_list else first["msg"].lower()
            raise Refused(f"{self.name}: {told}, got {str(value)[:50]!r}", option=self.name) from None


def _declared(kind: type, *but: str) -> Iterable[Field]:
    hints = get_type_hints(kind)
    for own in fields(kind):
        if own.name not in but:
            limits = {name: limit for name, limit in own.metadata.items() if name in ("ge", "gt", "le")}
            if own.name in _AT_MOST:
                limits["le"] = _AT_MOST[own.name]
            # None is the preset's, the model's, or the photo's own.
            yield Field(
                _CALLED.get(own.name, own.name), hints[own.name], own.metadata["description"],
                own.default is MISSING, limits,
            )  # fmt: skip


def _table(*listed: Iterable[Field]) -> dict[str, Field]:
    return {one.name: one for part in listed for one in part}


_PHOTO = Field("image", None, "The photo: JPEG, PNG, WebP, ...; known by its content.", True)
_MODEL = Field("model", str, "One of GET /v1/models; default: the first.")
_BRUSHES = (
    Field("keep", None, "Brush mask: white over what is the subject."),
    Field("drop", None, "Brush mask: white over what is not the subject."),
)
_MASK_MODEL = Field("mask_model", MaskModelName, "Which network finds the subject.")
_BOX = [one for one in _declared(SubjectOptions) if one.name == "box"]
# Written out above, and what is not a stranger's to choose: no matting network is in the package.
_APART = ("mask", "mask_model", "matting_model", "keep", "drop")

EDIT: dict[str, Field] = _table(
    [
        _PHOTO,
        Field("prompt", str, "The background in one sentence, if it is to be painted; leave the subject out of it."),
        Field("mask", None, "PNG of the photo's size: alpha 0 is what to repaint. Left out, the subject is found."),
        Field("mask_kind", Literal["openai", "subject"], "subject: the mask is white over the subject instead."),
        _MODEL,
        Field("n", int, "Pictures, with seeds in a row.", limits={"ge": 1, "le": LIMITS.count}),
        Field("size", str, "auto, which is the photo's, or WIDTHxHEIGHT of the picture."),
        Field("background", Literal["transparent", "opaque", "auto"], "transparent: the subject alone."),
        Field("backdrop", None, "What goes behind instead of a painting: a picture, a colour, or `blur`."),
        Field("quality", Quality, "low, medium and high are the presets fast, balanced and quality."),
        Field("preset", Preset, "By the engine's name, instead of quality."),
        Field("output_format", ImageFormat, "The kind of file."),
        Field("output_compression", int, "Quality of a JPEG or WebP.", limits={"ge": 0, "le": 100}),
        Field("response_format", Literal["b64_json"], "The picture comes within the answer."),
        Field("input_fidelity", Literal["high"], "The subject is kept pixel for pixel."),
        Field("stream", bool, "Events as they come, rather than one answer."),
        Field("partial_images", int, "With stream: previews on the way.", limits={"ge": 0, "le": _MOST_PARTIAL}),
        Field("user", str, "Whose request it is; said again in the answer as safety_identifier."),
        Field("safety_identifier", str, "The same, by its newer name."),
        _MASK_MODEL,
        *_BRUSHES,
    ],
    _declared(SceneOptions, *_APART),
    _declared(GenerationOptions, "prompt"),
    _declared(CountOptions, "count"),
    _declared(EncodeOptions, "format", "quality"),
)  # fmt: skip

MASK: dict[str, Field] = _table(
    [
        _PHOTO,
        Field("kind", Literal["alpha", "cutout"], "alpha: white over the subject; cutout: the subject on nothing."),
        _MASK_MODEL,
        *_BRUSHES,
    ],
    _BOX,
)  # fmt: skip


def schema_of(table: Mapping[str, Field]) -> dict[str, Any]:
    """A form's or a JSON body's fields in JSON Schema."""
    return {
        "type": "object",
        "required": [one.name for one in table.values() if one.is_required],
        "additionalProperties": False,
        "properties": {one.name: one.schema for one in table.values()},
    }


@dataclass(frozen=True)
class Order:
    """A painting that was asked for, checked as far as can be without photo and model.

    subject, painting, counting: options as `prepare` and `paint` take them.  mask_kind: what a mask means.
    backdrop: bytes of a picture, a colour's name, `transparent` or `blur`; None: painted.
    partial_images: how many previews are made.  preview_seconds: or one each time as long has passed; the last stays.
    """

    photo: bytes = field(repr=False)
    prompt: str = field(repr=False)
    mask: bytes | None = field(repr=False)
    mask_kind: Literal["openai", "subject"]
    model: str | None
    preset: Preset | None
    backdrop: bytes | str | None = field(repr=False)
    subject: dict[str, Any] = field(repr=False)
    painting: dict[str, Any] = field(repr=False)
    counting: dict[str, Any]
    encoding: EncodeOptions
    is_streamed: bool
    partial_images: int
    preview_seconds: float | None
    identifier: str | None
    key: str

    @property
    def has_size(self) -> bool:
        """Whether the canvas was given as OpenAI's size."""
        return "x" in self.subject.get("canvas", "")

    @property
    def about(self) -> dict[str, Any]:
        """What OpenAI's answers and events repeat of the request."""
        about = {
            "background": "transparent" if self.backdrop == "transparent" else "opaque",
            "output_format": self.encoding.format,
            "quality": _QUALITY_OF_PRESET[self.preset],
            "size": self.subject.get("canvas") or "auto",
        }
        return about | ({"safety_identifier": self.identifier} if self.identifier else {})


@dataclass(frozen=True)
class MaskOrder:
    """A mask that was asked for."""

    photo: bytes = field(repr=False)
    kind: Literal["alpha", "cutout"]
    subject: dict[str, Any] = field(repr=False)
    key: str


def read_edit(parts: Iterable[tuple[str, str | bytes | Any]]) -> Order:
    """A painting from the names and values of a form or a JSON body. Raises Refused and InvalidOptions."""
    given, key = _read(EDIT, parts)
    with in_own_words(given.get("size", "auto") != "auto"):
        return _order(given, key)


def _order(given: dict[str, Any], key: str) -> Order:
    prompt = given.get("prompt", "")
    backdrop = given.get("backdrop")
    if isinstance(backdrop, bytes) and len(backdrop) < 64 and backdrop.isascii():
        backdrop = backdrop.decode()
    if backdrop == "transparent" and given.get("background") == "opaque":
        raise Refused("the backdrop is transparent and the background opaque; leave out either", option="background")
    for name in ("user", "safety_identifier"):
        if len(given.get(name, "")) > _LONGEST_NAME:
            raise Refused(f"{name} has at most {_LONGEST_NAME} characters", option=name)
    if given.get("background") == "transparent":
        if backdrop is not None:
            raise Refused("background=transparent has no backdrop; leave out either", option="backdrop")
        backdrop = "transparent"
    if backdrop is None:
        if "prompt" not in given:
            raise Refused("prompt is missing", option="prompt")
        check_prompt(prompt)
    if "quality" in given and "preset" in given:
        raise Refused("quality is a preset by another name; leave out either", option="preset")
    if "partial_images" in given and not given.get("stream"):
        raise Refused("partial_images goes with stream=true", option="partial_images")
    if "mask_kind" in given and "mask" not in given:
        raise Refused("mask_kind says what a mask means; give one", option="mask_kind")
    if given.get("size", "auto") != "auto":
        if given.get("canvas") is not None:
            raise Refused("size is a canvas in pixels; leave out either", option="canvas")
        if "x" not in given["size"]:
            raise Refused(f"size is auto or WIDTHxHEIGHT, got {given['size'][:50]!r}", option="size")
        given["canvas"] = given["size"]
    painting = _picked(GenerationOptions, given, but=("prompt",))
    counting = _picked(CountOptions, given)
    if backdrop is not None:
        extra = [name for name in painting if name not in ("shadow", "colour_match")]
        extra += ["working_size"] if "working_size" in given else []
        extra += [_CALLED.get(name, name) for name in counting] + [
            name for name in ("quality", "preset") if name in given
        ]
        if extra:
            raise Refused(f"{extra[0]}: nothing is painted behind a given background; leave it out", option=extra[0])
    encoding = _picked(EncodeOptions, given)
    encoding["format"] = encoding.get("format", "png")
    if "quality" in encoding:
        encoding["quality"] = max(1, encoding["quality"])
    if backdrop == "transparent" and encoding["format"] == "jpeg":
        raise Refused("a JPEG cannot be transparent; ask for png or webp", option="output_format")
    subject = _picked(SceneOptions, given, but=("mask",))
    if "mask" in given:
        hints = [name for name in ("mask_model", "box", "keep", "drop") if name in subject]
        if hints:
            raise Refused(f"{hints[0]} helps to find a mask, and one was given; leave out either", option=hints[0])
    SubjectOptions(
        **{name: subject[name] for name in ("canvas", "subject_scale", "subject_position", "fill") if name in subject}
    )
    CountOptions(**counting)
    return Order(
        photo=given["image"], prompt=prompt, mask=given.get("mask"), mask_kind=given.get("mask_kind", "openai"),
        model=given.get("model"), preset=given.get("preset") or _PRESET_OF_QUALITY[given.get("quality", "auto")],
        backdrop=backdrop, subject=subject, painting=painting, counting=counting, encoding=EncodeOptions(**encoding),
        is_streamed=given.get("stream", False), partial_images=given.get("partial_images", 0), preview_seconds=None,
        identifier=given.get("safety_identifier") or given.get("user"), key=key,
    )  # fmt: skip


def read_mask(parts: Iterable[tuple[str, Any]]) -> MaskOrder:
    """A mask from the names and values of a form or a JSON body. Raises Refused and InvalidOptions."""
    given, key = _read(MASK, parts)
    return MaskOrder(given["image"], given.get("kind", "alpha"), _picked(SceneOptions, given, but=("mask",)), key)


def _picked(kind: type, given: Mapping[str, Any], but: tuple[str, ...] = ()) -> dict[str, Any]:
    called = {own.name: _CALLED.get(own.name, own.name) for own in fields(kind) if own.name not in but}
    return {name: given[public] for name, public in called.items() if given.get(public) is not None}


def _read(table: Mapping[str, Field], parts: Iterable[tuple[str, Any]]) -> tuple[dict[str, Any], str]:
    """Values by name, and a digest of them all, which the same request has again."""
    given: dict[str, Any] = {}
    lists: dict[str, list[Any]] = {}
    digest = hashlib.sha256()
    for name, value in parts:
        plain = name.removesuffix("[]")
        if plain not in table:
            shown = ascii(name[:50])[1:-1]
            raise Refused(f"there is no field {shown!r} here", option=shown)
        if value is None:
            continue
        if isinstance(value, dict) or (isinstance(value, list) and not table[plain].is_list):
            raise Refused(f"{plain} must be one value", option=plain)
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise Refused(f"{plain} is no text in UTF-8", option=plain)
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        digest.update(f"{name} {len(data)} ".encode() + data)
        if name != plain and table[plain].is_list:
            lists.setdefault(plain, []).append(value)
        elif plain in given:
            what = "one photo is edited at a time" if plain == "image" else f"{plain} was given twice"
            raise Refused(f"{what}; send one", option=plain)
        else:
            given[plain] = _file(plain, value) if plain in _FILES else table[plain].read(value)
    for name, values in lists.items():
        if name in given:
            raise Refused(f"{name} was given twice; send one", option=name)
        given[name] = table[name].read(values)
    for one in table.values():
        if one.is_required and one.name not in given:
            raise Refused(f"{one.name} is missing", option=one.name)
    return given, digest.hexdigest()


def _file(name: str, value: Any) -> bytes | str:
    """A file's bytes: as they came, or from a data URL. A backdrop may be a word."""
    if isinstance(value, bytes):
        if not value:
            raise Refused(f"{name} is an empty file", option=name)
        return value
    if isinstance(value, str) and value.startswith("data:") and ";base64," in value[:200]:
        try:
            return base64.b64decode(value.split(";base64,", 1)[1], validate=True)
        except (binascii.Error, ValueError):
            raise Refused(f"{name} is no data URL in base64", option=name) from None
    if name == "backdrop" and isinstance(value, str) and "://" not in value:
        return value
    if isinstance(value, str) and "://" in value[:20]:
        raise Refused(f"{name}: nothing is fetched from addresses; send the file or a data: URL", option=name)
    raise Refused(f"{name} must be a file, got text", option=name)


def from_json(body: object) -> list[tuple[str, Any]]:
    """Names and values of a JSON body; `images` is a list of `{"image_url": "data:..."}`. Raises Refused."""
    if not isinstance(body, dict):
        raise Refused("the body must be a JSON object")
    parts: list[tuple[str, Any]] = []
    for name, value in body.items():
        if name == "images":
            if not isinstance(value, list):
                raise Refused("images is a list of {image_url}", option="images")
            parts += [("image", _image_url(one, "images")) for one in value]
        elif name in ("mask", "keep", "drop", "image") and isinstance(value, dict):
            parts.append((name, _image_url(value, name)))
        else:
            parts.append((name, value))
    return parts


def _image_url(value: object, name: str) -> Any:
    if not isinstance(value, dict) or set(value) != {"image_url"} or not isinstance(value["image_url"], str):
        raise Refused(f"{name}: only {{image_url: a data: URL}} is taken; files are not kept here", option=name)
    return value["image_url"]
