"""A visitor's wish, put in line: the same order that a request of the API's makes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cyclorama import BadImage
from cyclorama.serving.requests import EDIT, Order, read_edit
from cyclorama.space.controls import FOR_PAINTING
from cyclorama.space.mask import subject_of
from cyclorama.space.visits import Visit

if TYPE_CHECKING:
    from cyclorama.serving.jobs import Job
    from cyclorama.space.mounting import Parts

_SHARE = 4  # jobs of one visit that may wait
_PREVIEW_SECONDS = 1.5  # between previews, which cost about as much as a step
BEHIND = ("painted", "picture", "colour", "blur", "transparent")
"""What may go behind the subject: `behind` of a wish. All else of it is named as the fields of a request."""


def order_of(parts: Parts, visit: Visit, wish: dict[str, Any]) -> Order:
    """What a wish comes to, checked as far as can be before any work. Raises CycloramaError."""
    given = dict(wish)
    behind, colour = given.pop("behind", "painted"), given.pop("colour", None)
    hints = subject_of(replace(visit, wish=wish))
    given |= hints
    if behind != "painted":
        given = {name: value for name, value in given.items() if name not in FOR_PAINTING}
    if behind == "picture":
        if not visit.backdrop:
            raise BadImage("choose the picture that goes behind first", option="backdrop")
        given["backdrop"] = parts.visits.backdrop(visit)
    elif behind == "colour":
        given["backdrop"] = colour
    elif behind != "painted":
        given["backdrop"] = behind
    fields = [(name, value) for name, value in given.items() if name in EDIT and value is not None]
    values = [(name, list(value) if isinstance(value, tuple) else value) for name, value in fields]
    order = read_edit([("image", parts.visits.photo(visit)), *values])
    parts.service.check(order)
    return replace(order, preview_seconds=_PREVIEW_SECONDS)


def paint(parts: Parts, visit: Visit, wish: dict[str, Any]) -> Job:
    """Puts a wish in line; its pictures are kept with the visit as soon as they are there. Raises CycloramaError."""
    order = order_of(parts, visit, wish)

    def work(job: Job) -> None:
        answer = parts.service.paint(order, job)
        parts.visits.add(visit, answer, wish, job.id)

    job = parts.queue.submit(work, visit.owner, order.key, is_kept=True, share=_SHARE, asked_by="the page")
    parts.visits.change(visit, lambda one: replace(one, job=job.id, wish=wish))
    return job
