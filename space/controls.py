"""Widgets, made of the table of a request's fields, which is made of the engine's declaration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

import streamlit as st

from cyclorama.serving.requests import EDIT, Field
from cyclorama.space.words import Words

IN_PLACE = ("fill", "subject_scale", "shadow", "colour_match")
POSITIONS = ("0.5,1", "0,1", "1,1", "0.5,0.5", "0,0.5", "1,0.5", "0.5,0")
ADVANCED = (
    "negative_prompt", "num_inference_steps", "guidance_scale", "strength", "seed", "sampler", "timestep_spacing",
    "guidance_interval", "cache_interval", "token_downsampling", "working_size", "best_of", "good_enough", "mask_model",
)  # fmt: skip
FOR_PAINTING = (*(name for name in ADVANCED if name != "mask_model"), "prompt", "preset", "n", "model")
ELSEWHERE = {
    "image": "the upload", "subject_position": "a list",
    "mask": "the editor", "mask_kind": "", "keep": "the editor", "drop": "the editor",
    "box": "the editor", "prompt": "above the button", "n": "above the button", "preset": "above the button",
    "quality": "preset", "backdrop": "behind", "background": "behind", "canvas": "shapes", "size": "canvas",
    "model": "where there are several", "output_format": "downloads", "output_compression": "downloads",
    "max_bytes": "downloads", "srgb": "", "response_format": "", "input_fidelity": "", "stream": "",
    "partial_images": "previews", "user": "", "safety_identifier": "",
}  # fmt: skip
"""Fields of a request that are no widget made here, and where they are instead; empty: for programs only."""
_CHECKBOXES = ("shadow", "colour_match")
_PREFIX = "option-"
KEPT: Literal["session"] = "session"
"""How long a widget has its value: also while it is not shown."""


def key(name: str) -> str:
    """Of a field's widget, in Streamlit's session state."""
    return f"{_PREFIX}{name}"


def restore(wish: Mapping[str, Any]) -> None:
    """Sets the widgets to what was wished in an earlier session, before any of this one is shown."""
    if "restored" in st.session_state:
        return
    st.session_state["restored"] = True
    for name, value in wish.items():
        st.session_state.setdefault(key(name), ",".join(map(str, value)) if isinstance(value, list | tuple) else value)


def values(names: Iterable[str]) -> dict[str, Any]:
    """What was chosen in widgets that are not shown, by the fields' names; None where it was left open."""
    found = {name: st.session_state.get(key(name)) for name in names}
    return {
        name: None if value == "" or (name in _CHECKBOXES and not value) else value for name, value in found.items()
    }


def control(name: str, words: Words, chosen: Any = None) -> Any:
    """A field's widget; its value, None where it was left open. chosen: what is taken then."""
    own = EDIT[name]
    label, description = words.option(own)
    placeholder = words("left-open") if chosen in (None, "") else words("left-open-is", value=_text(chosen, words))
    kind = _plain(own.kind)
    if name in _CHECKBOXES:
        return st.checkbox(label, key=key(name), help=description, persist_state=KEPT) or None
    if kind is bool or get_origin(kind) is Literal:
        options = (True, False) if kind is bool else get_args(kind)
        return st.selectbox(
            label, options, index=None, key=key(name), help=description, placeholder=placeholder,
            format_func=lambda one: _text(one, words), persist_state=KEPT,
        )  # fmt: skip
    if kind in (int, float):
        return _number(own, kind, label, description, placeholder)
    text = st.text_input(label, key=key(name), help=description, placeholder=placeholder, persist_state=KEPT)
    return text or None


def position(words: Words) -> str | None:
    """Where the subject goes: places with names, or numbers."""
    own = EDIT["subject_position"]
    label, description = words.option(own)
    return st.selectbox(
        label, POSITIONS, index=None, key=key(own.name), help=description, placeholder=words("position-own"),
        format_func=lambda one: words(f"position-{one}") if one in POSITIONS else one, accept_new_options=True,
        persist_state=KEPT,
    )  # fmt: skip


def _number(own: Field, kind: type, label: str, description: str, placeholder: str) -> Any:
    low, high = (own.limits.get(limit) for limit in ("ge", "le"))
    if low is None and "gt" in own.limits:
        low = own.limits["gt"] + 0.05
    # Streamlit's numbers are JavaScript's, which are whole up to 2**53.
    low, high = (None if limit is None else kind(min(limit, 2**53 - 1)) for limit in (low, high))
    step = 1 if kind is int else 0.05 if high is not None and high <= 1 else 0.5
    return st.number_input(
        label, min_value=low, max_value=high, value=None, step=step, key=key(own.name), help=description,
        placeholder=placeholder, persist_state=KEPT,
    )  # fmt: skip


def _plain(kind: Any) -> Any:
    """A type without its None."""
    rest = [one for one in get_args(kind) if one is not type(None)]
    return rest[0] if len(rest) == 1 and type(None) in get_args(kind) else kind


def _text(value: Any, words: Words) -> str:
    if isinstance(value, bool):
        return words("yes" if value else "no")
    if isinstance(value, tuple):
        return ",".join(f"{one:g}" for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
