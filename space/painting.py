"""A visitor's wish, put in line: the same order that a request of the API's makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cyclorama import BadImage
from cyclorama.serving.requests import EDIT, LIMITS, Order, read_edit
from cyclorama.space.controls import FOR_PAINTING
from cyclorama.space.mask import subject_of
from cyclorama.space.visits import Painted, Visit

if TYPE_CHECKING:
    from cyclorama.serving.jobs import Job
    from cyclorama.space.mounting import Parts

_LOOSER = 0.4  # of what guidance adds
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


def ways(parts: Parts, painted: Painted) -> list[dict[str, Any]]:
    """Four wishes that each differ from a picture's in one thing, which `way` names.

    What was found to make a picture better most often: `cyclorama.benchmarks.settings`, figures in docs/page.md.
    """
    model = parts.service.models[painted.facts["model"]]
    wish = {**painted.wish, "n": 1, "seed": painted.facts["seed"]}
    wish.pop("best_of", None)
    wish.pop("good_enough", None)
    options = {name: wish[name] for name in ("guidance_scale", "negative_prompt") if name in wish}
    guidance = model.generator.resolve(wish["prompt"], wish.get("preset"), **options).guidance_scale
    folder = model.generator.folder
    size = wish.get("working_size") or folder.native_size
    smaller, larger = (round(size * share / folder.size_multiple) * folder.size_multiple for share in (0.75, 1.25))
    seeds = [(wish["seed"] + more) % 2**32 for more in (1, 2)]
    return [
        {**wish, "way": "seed", "seed": seeds[0]},
        {**wish, "way": "guidance", "guidance_scale": round(1 + (guidance - 1) * _LOOSER, 1)} if guidance > 1
        else {**wish, "way": "seed", "seed": seeds[1]},
        {**wish, "way": "smaller", "working_size": smaller},
        {**wish, "way": "larger", "working_size": larger} if larger <= LIMITS.size
        else {**wish, "way": "seed", "seed": seeds[1]},
    ]  # fmt: skip


def paint(parts: Parts, visit: Visit, wishes: Sequence[dict[str, Any]]) -> Job:
    """Puts wishes in line, as one job; pictures are kept with the visit as soon as they are there.

    Raises CycloramaError.
    """
    orders = [order_of(parts, visit, wish) for wish in wishes]

    def work(job: Job) -> None:
        for number, (order, wish) in enumerate(zip(orders, wishes, strict=True)):
            answer = parts.service.paint(order, job, (number / len(orders), (number + 1) / len(orders)))
            parts.visits.add(visit, answer, wish, job.id)

    key = " ".join(order.key for order in orders)
    job = parts.queue.submit(work, visit.owner, key, is_kept=True, share=_SHARE, asked_by="the page")
    parts.visits.change(visit, lambda one: replace(one, job=job.id))
    return job
