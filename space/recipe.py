"""How to make a picture again: the command line and the Python lines."""

from __future__ import annotations

import shlex
from typing import Any

from cyclorama.serving.requests import EDIT
from cyclorama.space.visits import Painted

_OPTION = {"working_size": "size", "n": "count"}  # the engine's names of a request's fields
_FLAG = {"num_inference_steps": "steps"}
_BEFORE = ("canvas", "subject_scale", "subject_position", "fill", "working_size", "mask_model")  # painting begins
_FINISHING = ("shadow", "colour_match")
_NOT_SAID = ("prompt", "preset", "model", "behind", "colour", "n", "best_of", "way")


def _asked(painted: Painted) -> dict[str, Any]:
    wish = {name: value for name, value in painted.wish.items() if value is not None}
    is_painted = wish.get("behind", "painted") == "painted"
    named = {
        name: tuple(EDIT[name].read(value)) if EDIT[name].is_list else value
        for name, value in wish.items()
        if name not in _NOT_SAID and name != "good_enough" and (is_painted or name in _BEFORE + _FINISHING)
    }
    if painted.strokes:
        named.pop("mask_model", None)
        named["mask"] = "mask.png"
    if not is_painted:
        named.pop("working_size", None)
    return {_OPTION.get(name, name): value for name, value in named.items()}


def command(painted: Painted) -> str:
    """For a shell, with the photo and `mask.png` in the folder."""
    wish = painted.wish
    words = ["cyclorama", "generate", painted.called or "photo.jpg"]
    behind = wish.get("behind", "painted")
    if behind == "painted":
        words += ["-p", wish["prompt"], "--model", painted.facts["model"]]
        words += ["--preset", wish["preset"]] if wish.get("preset") else []
    elif behind == "blur":
        words += ["--blur"]
    else:
        words += ["--background", {"colour": wish.get("colour"), "picture": "backdrop.jpg"}.get(behind, behind) or ""]
    for name, value in _asked(painted).items():
        flag = f"--{_FLAG.get(name, name).replace('_', '-')}"
        if isinstance(value, bool):
            words += [flag] if value else [f"--no-{flag[2:]}"] if name == "token_downsampling" else []
        else:
            words += [flag, ",".join(f"{one:g}" for one in value) if isinstance(value, tuple) else str(value)]
    return shlex.join([*words, "-o", "out.png"])


def python(painted: Painted) -> str:
    """For a script, with the same files beside it."""
    wish, named = painted.wish, _asked(painted)
    photo, behind = repr(painted.called or "photo.jpg"), wish.get("behind", "painted")
    before = {name: value for name, value in named.items() if name in (*_BEFORE, "mask", "size")}
    rest = {name: value for name, value in named.items() if name not in before}
    if behind == "painted":
        preset = f", {wish['preset']!r}" if wish.get("preset") else ""
        return "\n".join([
            "from cyclorama import BackgroundGenerator",
            "",
            f"generator = BackgroundGenerator.load({painted.facts['model']!r})",
            f"scene = generator.prepare({photo}{_keywords(before)})",
            f"result = generator.generate(scene, {wish['prompt']!r}{preset}{_keywords(rest)})",
            'result.save("out.png")',
        ])  # fmt: skip
    given = {
        "colour": f"Background.colour({wish.get('colour')!r})", "picture": 'Background.image("backdrop.jpg")',
        "transparent": "Background.transparent()", "blur": "cutout.out_of_focus()",
    }[behind]  # fmt: skip
    return "\n".join([
        f"from cyclorama import {'Background, ' if behind != 'blur' else ''}cut_out",
        "",
        f"cutout = cut_out({photo}{_keywords(before)})",
        f'cutout.on({given}{_keywords(rest)}).save("out.png")',
    ])  # fmt: skip


def _keywords(named: dict[str, Any]) -> str:
    return "".join(f", {name}={value!r}" for name, value in named.items())
