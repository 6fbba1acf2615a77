"""Whatever comes in: it works, or ends in a CycloramaError of one line."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pydantic
import pytest
from PIL import Image

from cyclorama import (
    Background,
    BackgroundGenerator,
    CountOptions,
    Cutout,
    CycloramaError,
    EncodeOptions,
    GenerationOptions,
    Hints,
    InvalidOptions,
    Limits,
    LoadOptions,
    NoSubject,
    Scene,
    SceneOptions,
    SubjectOptions,
    cut_out,
    find_subject,
    load_photo,
)
from cyclorama.engine.options import SAMPLERS, GenerationKeywords, SceneKeywords, SubjectKeywords
from cyclorama.engine.presets import resolve_options
from cyclorama.models.store import resolve

PHOTO = np.full((64, 64, 3), 90, np.uint8)
MASK = np.zeros((64, 64), np.uint8)
MASK[16:48, 16:48] = 255

# One of each kind that somebody passes by mistake.
VALUES: dict[str, Any] = {
    "None": None, "True": True, "0": 0, "-1": -1, "3": 3, "2.5": 2.5, "nan": float("nan"), "inf": float("inf"),
    "huge": 10**30,
    "text": "seven", "nothing": "", "number in text": "4", "a zero byte": "a\0b", "no text": "caf\udce9",
    "long": "x" * 5000, "bytes": b"seven", "tuple": (1, 2), "list": [1, 2, 3, 4], "dict": {"a": 1}, "set": {1},
    "object": object(), "class": int, "function": len, "path": Path("nowhere"), "array": np.zeros(3),
    "array of text": np.array(["a"]), "empty array": np.zeros((0, 0, 3), np.uint8), "complex": 1j,
    "image": Image.new("RGB", (4, 4)), "empty image": Image.new("RGB", (0, 4)), "closed file": None, "text file": None,
    "numpy int": np.int64(5), "numpy float": np.float32(0.5), "numpy bool": np.bool_(True),
}  # fmt: skip


def value(kind: str) -> Any:
    if kind == "closed file":
        file = BytesIO(b"x")
        file.close()
        return file
    if kind == "text file":
        return Path(__file__).open(encoding="utf-8")
    return VALUES[kind]


@cache
def nano() -> BackgroundGenerator:
    return BackgroundGenerator.load("nano", backend="onnx")


@cache
def scene() -> Scene:
    return nano().prepare(PHOTO, mask=MASK, size=64)


def painted(**options: Any) -> Any:
    options = {"num_inference_steps": 1, **options}
    return nano().generate(scene(), options.pop("prompt", "a beach"), **options)


CALLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "load": (lambda **o: BackgroundGenerator.load(**{"model": "nano", "backend": "onnx", **o}),
             ("model", "backend", "device", "threads", "exact", "limits")),
    "prepare": (lambda **o: nano().prepare(**{"photo": PHOTO, "mask": MASK, "size": 64, **o}),
                ("photo", "mask", "size", "canvas", "subject_scale", "subject_position", "fill")),
    "cut_out": (lambda **o: cut_out(**{"photo": PHOTO, "mask": MASK, **o}),
                ("photo", "mask", "canvas", "subject_scale", "subject_position", "fill")),
    "cut_out with hints": (lambda **o: cut_out(**{"photo": PHOTO, **o}),
                           ("mask_model", "matting_model", "box", "keep", "drop", "most_pixels")),
    "generate": (painted, ("prompt", "preset", "best_of", "latents", "cancelled",
                           *GenerationOptions.__dataclass_fields__)),
    "paint": (lambda **o: list(nano().paint(scene(), "a beach", num_inference_steps=1, **o)), ("count",)),
    "generate best of": (lambda **o: painted(best_of=2, **o), ("good_enough",)),
    "scene": (lambda **o: nano().generate(o["scene"], "a beach", num_inference_steps=1), ("scene",)),
    "on": (lambda **o: cut_out(PHOTO, mask=MASK).on(**{"background": Background.colour("white"), **o}),
           ("background", "shadow", "colour_match")),
    "Background.image": (lambda **o: Background.image(o["source"]), ("source",)),
    "Background.colour": (lambda **o: Background.colour(o["name"]), ("name",)),
    "find_subject": (lambda **o: find_subject(**{"rgb": PHOTO, **o}), ("rgb", "mask_model", "hints", "looks")),
    "Hints.read": (lambda **o: Hints.read((64, 64), **o), ("box", "keep", "drop")),
    "load_photo": (lambda **o: load_photo(**{"source": PHOTO, **o}), ("source", "most_pixels")),
    "Limits": (Limits, tuple(Limits.__dataclass_fields__)),
    "revised": (lambda **o: cut_out(PHOTO, mask=MASK).revised(**{"mask": MASK, **o}), ("canvas",)),
    "save": (lambda **o: cut_out(PHOTO, mask=MASK).on(Background.colour("white")).save(o["path"]), ("path",)),
    "encode": (lambda **o: cut_out(PHOTO, mask=MASK).on(Background.colour("white")).encode(**{"format": "jpeg", **o}),
               ("format", "quality", "max_bytes", "srgb")),
    "GenerationOptions": (lambda **o: GenerationOptions(**{"prompt": "a", **o}),
                          tuple(GenerationOptions.__dataclass_fields__)),
    "resolve_options": (lambda **o: resolve_options(nano().folder, **{"prompt": "a", **o}), ("prompt", "preset")),
    "resolve": (lambda **o: resolve(o["model"]), ("model",)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("call", "parameter"), [(call, parameter) for call, (_, parameters) in CALLS.items() for parameter in parameters]
)
def test_every_wrong_value_ends_in_a_cyclorama_error(
    call: str, parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in VALUES:
        given = value(kind)
        try:
            CALLS[call][0](**{parameter: given})
        except CycloramaError as error:
            text = str(error)
            assert text, kind
            assert "\n" not in text, kind
        except Exception as error:
            pytest.fail(f"{call}({parameter}=<{kind}>) raised {type(error).__name__}: {error}")
        finally:
            if kind == "text file":
                given.close()
    assert list(tmp_path.iterdir()) == []


def test_every_public_call_is_tried() -> None:
    """Parameters of what the package exports that no call above names."""
    tried = {parameter for _, parameters in CALLS.values() for parameter in parameters}
    named = {"self", "options"}  # the latter's names are those of the declaration
    for name in ("load", "prepare", "generate", "paint", "steps"):
        assert set(inspect.signature(getattr(BackgroundGenerator, name)).parameters) - tried - named == set(), name
    for function in (cut_out, find_subject, load_photo, Cutout.on, Cutout.revised):
        assert set(inspect.signature(function).parameters) - tried - named == set(), function
    for kind in (SceneOptions, GenerationOptions, CountOptions, LoadOptions, EncodeOptions, Limits):
        assert kind.__dataclass_fields__.keys() - tried == set(), kind


@pytest.mark.parametrize(
    ("keywords", "kind", "but"),
    [(SubjectKeywords, SubjectOptions, set()), (SceneKeywords, SceneOptions, set()),
     (GenerationKeywords, GenerationOptions, {"prompt"})],
)  # fmt: skip
def test_keywords_are_those_of_the_declaration(keywords: type, kind: type, but: set[str]) -> None:
    """The one echo of the declaration, for type checkers: the same names, and the same types or None."""
    source = {"Source": Any}
    said = get_type_hints(keywords, localns=source)
    declared = get_type_hints(kind)
    assert said.keys() == declared.keys() - but
    for name, type_ in said.items():
        plain = set(get_args(type_)) - {type(None)} if type(None) in get_args(type_) else {type_}
        wanted = declared[name]
        wanted_plain = set(get_args(wanted)) - {type(None)} if type(None) in get_args(wanted) else {wanted}
        assert plain == wanted_plain, name


def test_the_declaration_is_whole_and_reads_as_a_schema() -> None:
    """Every option has words and, where it is a number, limits; pydantic understands both, and refuses what we do."""
    for kind in (SceneOptions, GenerationOptions, CountOptions, LoadOptions, EncodeOptions, Limits):
        for name, own in kind.__dataclass_fields__.items():
            assert own.metadata["description"].endswith((".", "!")), name
    adapter = pydantic.TypeAdapter(GenerationOptions)
    properties = adapter.json_schema()["properties"]
    steps = properties["num_inference_steps"]
    assert (steps["minimum"], steps["maximum"], steps["description"]) == (1, 1000, "Denoising steps.")
    assert properties["strength"]["exclusiveMinimum"] == 0
    assert properties["sampler"]["enum"] == list(SAMPLERS)
    with pytest.raises(pydantic.ValidationError, match="less than or equal to 1000"):
        adapter.validate_python({"prompt": "a", "num_inference_steps": 1001})
    assert adapter.validate_python({"prompt": "a", "seed": 3}) == GenerationOptions("a", seed=3)


def test_options_come_without_numpy() -> None:
    code = (
        "import sys, cyclorama.engine.options\n"
        "print([name for name in ('numpy', 'PIL', 'onnxruntime', 'openvino') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_errors_tell_what_a_program_needs() -> None:
    with pytest.raises(InvalidOptions) as caught:
        nano().steps(scene(), "a", num_inference_steps=0)
    assert (caught.value.code, caught.value.option) == ("invalid_options", "num_inference_steps")
    with pytest.raises(NoSubject) as none:
        cut_out(np.full((64, 64, 3), 90, np.uint8))
    assert none.value.code == "no_subject"
    assert none.value.hint is not None
    assert "`box`" in none.value.hint
    assert str(none.value).endswith(none.value.hint)
    copy = pickle.loads(pickle.dumps(none.value))
    assert (str(copy), copy.hint, copy.code) == (str(none.value), none.value.hint, "no_subject")
    kinds: list[type[CycloramaError]] = [CycloramaError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)


def test_bytes_and_open_files_are_photos(tmp_path: Path) -> None:
    image = Image.fromarray(PHOTO)
    image.save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for source in (data, bytearray(data), BytesIO(data), str(tmp_path / "a.png"), load_photo(data)):
        np.testing.assert_array_equal(load_photo(source).rgb, PHOTO)  # type: ignore[arg-type]
    with (tmp_path / "a.png").open("rb") as file:
        np.testing.assert_array_equal(cut_out(file, mask=MASK).photo.rgb, PHOTO)
    assert painted(prompt="a beach").image.size == (64, 64)


def test_options_that_there_are_not() -> None:
    with pytest.raises(InvalidOptions, match=r"no option num_inference_stepz; did you mean num_inference_steps\?"):
        nano().generate(scene(), "a", num_inference_stepz=4)  # type: ignore[call-arg]
    with pytest.raises(InvalidOptions, match=r"no option qqq; there are negative_prompt, num_inference_steps, "):
        nano().steps(scene(), "a", qqq=4)  # type: ignore[call-arg]
    with pytest.raises(InvalidOptions, match=r"no option boxx; did you mean box\?"):
        nano().prepare(PHOTO, boxx=(0, 0, 9, 9))  # type: ignore[call-arg]


def test_numbers_of_numpy_are_numbers() -> None:
    options = GenerationOptions(
        "a", seed=np.int64(7), guidance_scale=np.float32(2.5), num_inference_steps=np.int32(3),  # type: ignore[arg-type]
        guidance_interval=[np.float64(0.1), 1],  # type: ignore[arg-type]
    )  # fmt: skip
    assert type(options.seed) is int
    assert type(options.guidance_scale) is float
    assert options.guidance_interval == (0.1, 1.0)
