"""The page, from top to bottom: the photo, its mask, what goes behind, the painting, the pictures.

Streamlit runs this file for every visitor, again after each change. What it stands on is `cyclorama.space.mounting`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import Any

import streamlit as st

from cyclorama import CycloramaError
from cyclorama.engine.matting.networks import DEFAULT_MASK_MODEL
from cyclorama.serving.jobs import Job
from cyclorama.serving.requests import EDIT, LIMITS
from cyclorama.space import controls, editor, recipe
from cyclorama.space.addresses import MOST_BYTES, SAMPLES
from cyclorama.space.mask import is_known, look
from cyclorama.space.mounting import parts
from cyclorama.space.painting import BEHIND, paint, ways
from cyclorama.space.strokes import checked
from cyclorama.space.visits import Visit
from cyclorama.space.words import Words

_SHAPES = (None, "square", "4:5", "3:4", "16:9", "9:16")
_PRESETS = ("auto", "fast", "balanced", "quality")
_EXAMPLES = (
    "a sandy beach at sunset", "grey studio backdrop", "a green garden in spring", "snowy mountains",
    "a city at night", "a wooden table by a window",
)  # fmt: skip
_POLL = 0.5  # seconds between looks at a job that is painted


def page() -> None:
    """Everything, in the order in which it is seen."""
    words = Words(st.context.locale)
    st.set_page_config(page_title="Cyclorama", page_icon="🖼️", layout="wide")
    editor.frame(words.language)
    st.title(words("title"), anchor=False)
    st.markdown(words("what"))
    visit = photo(words)
    if visit is None:
        about(words, None)
        return
    subject, behind = st.columns(2, gap="large")
    with subject:
        runs = st.session_state["runs"] = st.session_state.get("runs", 0) + 1
        is_found = mask(visit.id, words, runs)
    with behind:
        wish = background(visit, words)
        use_mask_model(visit, wish.get("mask_model"))
        begin(visit, wish, words, is_found)
    painting(visit.id, words)
    results(visit.id, words)
    about(words, visit)


def photo(words: Words) -> Visit | None:
    """The visit, by the address or by what the browser remembers; and the way to bring it a photo."""
    visits = parts().visits
    told = st.query_params.get("visit", "")
    visit = visits.find(told)
    brought = editor.upload(
        key="photo", where="page/photos", visit=visit, words=words, most_bytes=MOST_BYTES,
        most_pixels=LIMITS.pixels, samples=SAMPLES if visit is None else (),
        is_expired=visit is None and bool(told or st.session_state.get("gone")),
    )  # fmt: skip
    if brought and brought != told and visits.find(brought) is not None:
        st.query_params["visit"] = brought
        st.rerun()  # with the upload in its other shape
    if visit is not None:
        st.session_state["gone"] = None
        controls.restore(visit.wish)
    elif told or brought:
        st.session_state["gone"] = st.session_state.get("gone") or "expired"
        st.info(words(st.session_state["gone"]))
    return visit


@st.fragment
def mask(visit_id: str, words: Words, runs: int) -> bool:
    """The mask and its editor. Strokes run this part alone, and so does looking for a mask. False: there is no mask.

    runs: how often the whole page has run, of which none waits for a mask.
    """
    visits = parts().visits
    visit = visits.find(visit_id)
    if visit is None:
        return False
    strokes = editor.strokes_of("mask", visit)
    sought = f"{visit.id} {visit.photo} {runs}"
    if strokes is None and not is_known(parts(), visit) and editor.asked("mask") != sought:
        # All of the page is there before the browser asks for the mask, and can be used while that is looked for.
        editor.mask(key="mask", visit=visit, shown=None, words=words, sought=sought)
        st.session_state["found"] = (visit.photo, True)
        return True
    before, shown, trouble = visit, None, None
    try:
        if strokes is not None:
            visit = replace(visit, strokes=checked(strokes, visit.size))
        shown = look(parts(), visit)
    except CycloramaError as error:
        trouble, visit = error, before  # what could be found before is shown on
        with suppress(CycloramaError):
            shown = look(parts(), visit)
    if visit.strokes != before.strokes:
        marks = visit.strokes
        visits.change(visit, lambda one: replace(one, strokes=marks))
    editor.answer("mask")
    editor.mask(key="mask", visit=visit, shown=shown, words=words)
    if trouble is not None:
        st.error(words.error(trouble))
    for note in shown.notes if shown is not None else ():
        st.warning(words.note(note))
    is_found = shown is not None
    if st.session_state.get("found") not in (None, (visit.photo, is_found)):
        st.session_state["found"] = (visit.photo, is_found)
        st.rerun()  # the button below depends on it
    st.session_state["found"] = (visit.photo, is_found)
    return is_found


def background(visit: Visit, words: Words) -> dict[str, Any]:
    """What the visitor wishes for, by the names of a request's fields."""
    st.subheader(words("background"), anchor=False)
    wish: dict[str, Any] = {}
    behind = st.segmented_control(
        words("behind"), BEHIND, default=None if controls.key("behind") in st.session_state else "painted",
        format_func=lambda one: words(f"behind-{one}"), key=controls.key("behind"), required=True, width="stretch",
        persist_state=controls.KEPT,
    )  # fmt: skip
    wish["behind"] = behind or "painted"
    if wish["behind"] == "painted":
        wish |= prompt(words)
    elif wish["behind"] == "colour":
        key = controls.key("colour")
        value = None if key in st.session_state else "#f0f0f0"
        wish["colour"] = st.color_picker(words("colour"), value, key=key, persist_state=controls.KEPT)
    elif wish["behind"] == "picture":
        editor.upload(
            key="backdrop", where="page/backdrops", visit=visit, words=words, most_bytes=MOST_BYTES,
            most_pixels=LIMITS.pixels, samples=(), is_expired=False,
        )  # fmt: skip
    else:
        st.caption(words(f"{wish['behind']}-help"))
    wish |= place(words)
    wish |= advanced(wish, words)
    return {name: value for name, value in wish.items() if value is not None}


def use_mask_model(visit: Visit, name: str | None) -> None:
    """Another mask network is another mask, at once."""
    if name != visit.wish.get("mask_model"):
        parts().visits.change(visit, lambda one: replace(one, wish={**one.wish, "mask_model": name}))
        st.rerun()


def prompt(words: Words) -> dict[str, Any]:
    """The sentence, with examples; how much care; how many."""
    example = st.session_state.pop("example", None)
    if example:
        st.session_state[controls.key("prompt")] = example
    text = st.text_area(
        words("prompt"), key=controls.key("prompt"), placeholder=_EXAMPLES[0], help=words("prompt-help"), height=90,
        max_chars=1000, persist_state=controls.KEPT,
    )  # fmt: skip
    st.pills(words("examples"), _EXAMPLES, key="examples", label_visibility="collapsed", on_change=_take_example)
    care, number = st.columns([3, 2])
    with care:
        preset = st.segmented_control(
            words("preset"), _PRESETS, key=controls.key("preset"), width="stretch",
            format_func=lambda one: words(f"preset-{one}"),
            default=None if controls.key("preset") in st.session_state else "auto", required=True,
            persist_state=controls.KEPT,
        )  # fmt: skip
    with number:
        count = st.segmented_control(
            words("pictures"), (1, 2, 4), key=controls.key("n"), width="stretch",
            default=None if controls.key("n") in st.session_state else 1, required=True,
            persist_state=controls.KEPT,
        )  # fmt: skip
    return {"prompt": text.strip(), "preset": None if preset == "auto" else preset, "n": count or 1}


def _take_example() -> None:
    st.session_state["example"] = st.session_state.get("examples")
    st.session_state["examples"] = None


def place(words: Words) -> dict[str, Any]:
    """The canvas, and where on it the subject goes."""
    with unfolding("place", words) as is_open:
        if not is_open:
            return controls.values(("canvas", "subject_position", *controls.IN_PLACE))
        label, description = words.option(EDIT["canvas"])
        canvas = st.selectbox(
            label, _SHAPES, key=controls.key("canvas"), accept_new_options=True, help=description,
            format_func=lambda one: words("canvas-own") if one is None else one, persist_state=controls.KEPT,
        )  # fmt: skip
        where = {"canvas": canvas, "subject_position": controls.position(words)}
        return where | {name: controls.control(name, words) for name in controls.IN_PLACE}


@contextmanager
def unfolding(name: str, words: Words) -> Iterator[bool]:
    """What is behind a heading, and whether it is open: only then is it made, for a browser takes long to draw all."""
    with st.expander(words(name), key=name, on_change="rerun") as folded:
        yield bool(folded.open)


def advanced(wish: dict[str, Any], words: Words) -> dict[str, Any]:
    """Every other option; what was left open shows what will be taken."""
    models = list(parts().service.models)
    chosen = controls.values(["model"])
    if chosen["model"] not in models:  # of a server that has been started anew
        chosen["model"] = None
    taken: dict[str, Any] = {"mask_model": DEFAULT_MASK_MODEL}
    if wish["behind"] == "painted":
        generator = parts().service.models[chosen["model"] or models[0]].generator
        taken |= asdict(generator.resolve(_EXAMPLES[0], wish.get("preset"), seed=0))
        taken |= {"working_size": min(generator.folder.native_size, LIMITS.size), "best_of": 1, "seed": None}
    names = [name for name in controls.ADVANCED if name in taken or (name == "good_enough" and len(taken) > 1)]
    with unfolding("advanced", words) as is_open:
        if not is_open:
            return chosen | controls.values(names)
        if len(models) > 1:
            chosen["model"] = st.selectbox(
                words.option(EDIT["model"])[0], models, key=controls.key("model"), persist_state=controls.KEPT
            )
        columns = st.columns(2)
        for number, name in enumerate(names):
            with columns[number % 2]:
                chosen[name] = controls.control(name, words, taken.get(name))
    return chosen


def begin(visit: Visit, wish: dict[str, Any], words: Words, is_found: bool) -> None:
    """The button, and what is refused before any work."""
    more = st.session_state.pop("more", None)
    is_painted = wish["behind"] == "painted"
    is_busy = running(visit) is not None
    pressed = st.button(
        words("paint" if is_painted else "put"), type="primary", width="stretch", disabled=is_busy or not is_found,
        key="begin",
    )  # fmt: skip
    if pressed and wish["behind"] == "picture" and not visit.backdrop:
        st.error(words("no-backdrop"))
    elif pressed and is_painted and not wish.get("prompt"):
        st.error(words("no-prompt"))
    elif (pressed or more) and not is_busy:
        try:
            visit = parts().visits.change(visit, lambda one: replace(one, wish=wish)) or visit
            paint(parts(), visit, more or [wish])
        except CycloramaError as error:
            st.error(words.error(error))


def running(visit: Visit) -> Job | None:
    """The visit's job, while it is not over."""
    found = parts().visits.find(visit.id)
    job = parts().queue.find(found.job, visit.owner) if found and found.job else None
    return job if job is not None and not job.is_over else None


def painting(visit_id: str, words: Words) -> None:
    """The job that is painted, looked at again and again until it is over; and how the last one ended."""
    visit = parts().visits.find(visit_id)
    if visit is not None and visit.job is not None:
        job = parts().queue.find(visit.job, visit.owner)
        st.session_state["ended"] = None
        if job is not None and not job.is_over:
            watch(job, words)
            return
        st.session_state["ended"] = ended(visit_id, visit.job, job, words)
    kind, said = st.session_state.get("ended") or ("", "")
    if kind:
        {"error": st.error, "warning": st.warning, "info": st.info}[kind](said)


def ended(visit_id: str, job_id: str, job: Job | None, words: Words) -> tuple[str, str] | None:
    """What to say of a job that is over, if anything; the first of its pictures is shown."""
    visit = parts().visits.change(visit_id, lambda one: replace(one, job=None) if one.job == job_id else one)
    made = [one.name for one in visit.results if one.job == job_id] if visit else []
    if made:
        st.session_state["chosen"] = made[0]
        return None
    if job is None:
        return "warning", words("interrupted")
    if job.state == "cancelled":
        return "info", words("cancelled")
    return ("error", words.error(job.error)) if job.error is not None else None


@st.fragment(run_every=_POLL)
def watch(job: Job, words: Words) -> None:
    """Where a job is. Streamlit runs this part alone, every half second."""
    queue = parts().queue
    if job.is_over:
        st.rerun()
    place, left = queue.place(job), queue.time_left(job)
    said = words("painting") if place is None else words("waiting", place=place) if place else words("next")
    if left is not None and left >= 1:
        said += f" · {words('seconds-left', seconds=round(left))}"
    st.progress(min(1.0, job.progress), said)
    if st.button(words("cancel"), key="cancel"):
        queue.cancel(job)
        st.rerun()
    if job.partials:
        editor.preview(job.partials[-1], words("preview"))
    # More frequent looks would slow the painting: each makes the browser draw. All that is clicked on, as a job nears
    # its end or is late, waits as long as this.
    if left is None or (left < _POLL and job.wait(_POLL)):
        st.rerun()


@st.fragment
def results(visit_id: str, words: Words) -> None:
    """The pictures there are: one to compare with the photo, the others to choose from, downloads, how to repeat."""
    visit = parts().visits.find(visit_id)
    if visit is None or not visit.results:
        return
    st.subheader(words("results"), anchor=False)
    names = [one.name for one in visit.results]
    first = st.session_state.get("chosen")
    chosen = editor.results(key="results", visit=visit, words=words, chosen=first if first in names else names[-1])
    painted = next(one for one in visit.results if one.name == chosen)
    for note in painted.facts.get("notes", ()):
        st.caption(words.note(note))
    if not painted.is_of(visit):
        st.caption(words("another"))
        return
    if painted.wish.get("behind") == "painted":
        seeds = [one.facts["seed"] for one in visit.results if one.job == painted.job]
        best_of = painted.wish.get("best_of") or 1
        more = {**painted.wish, "n": max(1, min(4, LIMITS.count // best_of)), "seed": (max(seeds) + best_of) % 2**32}
        more.pop("way", None)
        again, otherwise = st.columns(2)
        is_busy = running(visit) is not None
        if again.button(words("more-like-this"), key="more-like-this", disabled=is_busy, width="stretch"):
            st.session_state["more"] = [more]
            st.rerun()
        if otherwise.button(
            words("four-ways"), key="four-ways", disabled=is_busy, width="stretch", help=words("four-ways-help")
        ):
            st.session_state["more"] = ways(parts(), painted)
            st.rerun()
    with unfolding("same-again", words) as is_open:
        if is_open:
            st.code(recipe.command(painted), language="shell", wrap_lines=True)
            st.code(recipe.python(painted), language="python", wrap_lines=True)
            if painted.strokes:
                st.caption(words("mask-from-here"))


def about(words: Words, visit: Visit | None) -> None:
    """What happens to what is brought here."""
    st.divider()
    st.caption(words("private", minutes=round(parts().visits.seconds / 60)))
    if visit is None:
        return
    with st.popover(words("delete")):
        if st.button(words("delete-sure"), key="delete"):
            job = running(visit)
            if job is not None:
                parts().queue.cancel(job)
            parts().visits.forget(visit)
            st.query_params.clear()
            st.session_state["gone"] = "deleted"
            st.rerun()


page()
