"""What the page shows that Streamlit does not have: upload, mask editor, comparison. Plain JavaScript, no build step.

Each is a component of Streamlit's (v2): Python gives `data`, the browser gives states back. Pictures go by the page's
own addresses (`cyclorama.space.addresses`), never through Streamlit.
"""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from PIL import Image

from cyclorama.space.words import Words

if TYPE_CHECKING:
    from cyclorama.space.mask import Shown
    from cyclorama.space.visits import Visit

_HERE = Path(__file__).parent
_STYLE = (_HERE / "style.css").read_text("utf-8")
_PREVIEW_QUALITY = 80


def _component(name: str) -> Any:
    return st.components.v2.component(
        f"cyclorama_{name}", js=(_HERE / f"{name}.js").read_text("utf-8"), css=_STYLE, html="<div class='root'></div>"
    )


def frame(language: str) -> None:
    """The whole page's language, and what Streamlit's own elements lack."""
    st.html(f"<style>{(_HERE / 'page.css').read_text('utf-8')}</style>")
    _component("frame")(key="frame", data={"language": language})


def upload(
    key: str,
    where: str,
    visit: Visit | None,
    words: Words,
    most_bytes: int,
    most_pixels: int,
    samples: tuple[str, ...],
    is_expired: bool,
) -> str | None:
    """Brings a photo, or a picture to go behind, to one of the page's addresses; the visit's id once there is one.

    where: the address.  samples: names of photos to try.  is_expired: the browser should no longer remember its visit.
    """
    is_photo = key == "photo"
    kinds = words("kinds", megabytes=most_bytes // 1_000_000, megapixels=most_pixels // 1_000_000)
    current = None
    if visit is not None:
        name = f"photo-{visit.photo}.preview.jpg" if is_photo else f"backdrop-{visit.backdrop}.thumbnail.jpg"
        current = f"page/{visit.id}/{name}" if is_photo or visit.backdrop else None
    state = _component("upload")(
        key=key,
        data={
            "where": where, "visit": visit.id if visit else "", "isPhoto": is_photo, "isExpired": is_expired,
            "hasOne": current is not None, "current": None if is_photo else current, "mostBytes": most_bytes,
            "samples": [
                {"name": f"{name}.jpg", "url": f"page/samples/{name}.jpg", "label": words(f"sample-{name}")}
                for name in samples
            ],
            "words": words.group("camera", "samples", "sending", "not-sent", "too-large")
            | {
                "drop": words("drop" if is_photo else "drop-backdrop"), "kinds": kinds,
                "choose": words("choose" if is_photo else "choose-backdrop"),
                "choose-other": words("choose-other" if is_photo else "choose-other-backdrop"),
            },
            "errors": words.errors(),
        },
        on_brought_change=lambda: None,
    )  # fmt: skip
    brought = state.get("brought")
    return str(brought).partition(":")[0] if brought else None


def strokes_of(key: str, visit: Visit) -> Any:
    """Strokes that the browser has sent since this was last asked; None: there are none.

    The browser numbers what it sends, and is told the last number that was looked at (`answered`): what a component
    remembers is not news, neither in this tab after a change in another nor after another photo.
    """
    sent = (st.session_state.get(key) or {}).get("strokes")
    if not isinstance(sent, dict) or (sent.get("visit"), sent.get("photo")) != (visit.id, visit.photo):
        return None
    return None if sent.get("number") == st.session_state.get("answered") else sent.get("strokes")


def answer(key: str) -> None:
    """The strokes that the browser sent are settled; until then they are looked at again whenever the page runs."""
    sent = (st.session_state.get(key) or {}).get("strokes")
    st.session_state["answered"] = sent.get("number") if isinstance(sent, dict) else None


def asked(key: str) -> str | None:
    """The last that the browser asked for of what was `sought`."""
    return (st.session_state.get(key) or {}).get("asked")


def mask(key: str, visit: Visit, shown: Shown | None, words: Words, sought: str | None = None) -> None:
    """The editor. shown: the mask; None where none was found.  sought: names a mask that the browser is to ask for."""
    covers = words("looking") if sought else ""
    if shown is not None:
        x, y, width, height = shown.box
        share = f"{100 * shown.share:.1f}".replace(".", "," if words.language == "de" else ".")
        covers = words("mask-covers", share=share, x=x, y=y, width=width, height=height)
    _component("mask")(
        key=key,
        data={
            "photo": visit.photo, "url": f"page/{visit.id}/photo-{visit.photo}.preview.jpg", "size": list(visit.size),
            "mask": None if shown is None else f"page/{visit.id}/{shown.name}", "covers": covers,
            "sought": sought, "strokes": list(visit.strokes), "visit": visit.id,
            "answered": st.session_state.get("answered"),
            "downloads": [
                {"label": words("download-mask"), "url": f"page/{visit.id}/mask/{visit.photo}.png"},
                {"label": words("download-cutout"), "url": f"page/{visit.id}/cutout/{visit.photo}.png"},
            ],
            "words": words.group(
                "editor", "tools", "add", "remove", "box", "move", "add-help", "remove-help", "box-help", "move-help",
                "undo", "redo", "start-over", "brush-size", "zoom-in", "zoom-out", "fit", "show", "overlay", "cutout",
                "black-white", "canvas-label", "crosshair", "by-keyboard", "keys", "left", "top", "width", "height",
                "set-box", "no-box",
            ),
        },
        on_strokes_change=lambda: None, on_asked_change=lambda: None,
    )  # fmt: skip


def preview(data: bytes, words: str) -> None:
    """A preview of what is being painted. words: for who does not see it."""
    with BytesIO() as file:
        Image.open(BytesIO(data)).convert("RGB").save(file, "jpeg", quality=_PREVIEW_QUALITY)
        coded = base64.b64encode(file.getvalue()).decode()
    st.html(f'<img class="preview" alt="{words}" src="data:image/jpeg;base64,{coded}">')


def results(key: str, visit: Visit, words: Words, chosen: str) -> str:
    """A picture beside the photo, with a slider between, the others to choose from, and downloads. Which was chosen."""
    state = (st.session_state.get(key) or {}).get("chosen")
    names = [one.name for one in visit.results]
    # What was painted since is shown first, whatever was chosen before.
    if isinstance(state, dict) and state.get("of") == names[-1] and state.get("name") in names:
        chosen = state["name"]
    base = f"page/{visit.id}"
    listed = []
    for number, one in enumerate(visit.results, 1):
        seed = one.facts.get("seed")
        what = one.wish.get("prompt") or words(f"behind-{one.wish.get('behind', 'painted')}")
        what += "" if seed is None else f", {words('seed', seed=seed)}"
        what += f", {words('way-' + one.wish['way'])}" if "way" in one.wish else ""
        label = words("result", number=number, what=what)
        kinds = ("png", "webp") if one.wish.get("behind") == "transparent" else ("png", "jpeg", "webp")
        listed.append({
            "name": one.name, "label": label, "url": f"{base}/{one.name}.preview.webp",
            "thumbnail": f"{base}/{one.name}.thumbnail.webp",
            "size": list(one.size), "isOfPhoto": one.photo == visit.photo,
            "downloads": [
                {"label": kind.upper(), "url": f"{base}/download/{one.name}.{kind}"} for kind in kinds
            ],
        })  # fmt: skip
    _component("results")(
        key=key,
        data={
            "before": f"{base}/photo-{visit.photo}.preview.jpg", "photoSize": list(visit.size), "results": listed,
            "chosen": chosen, "of": names[-1],
            "words": words.group("before", "after", "compare", "choose-result", "download"),
        },
        on_chosen_change=lambda: None,
    )  # fmt: skip
    return chosen
