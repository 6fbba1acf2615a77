"""The mask of a visit's photo: found, corrected by strokes, and kept as it is shown."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cyclorama import NoSubject
from cyclorama.space.strokes import hints

if TYPE_CHECKING:
    from cyclorama.space.mounting import Parts
    from cyclorama.space.visits import Visit


@dataclass(frozen=True)
class Shown:
    """A mask as the page shows it. name: of its picture.  share: of the photo that it covers, 0 to 1.

    box: x, y, width, height of what it covers, in pixels.  notes: see `cyclorama.Cutout`.
    """

    name: str
    share: float
    box: tuple[int, int, int, int]
    notes: tuple[str, ...]


def subject_of(visit: Visit) -> dict[str, Any]:
    """Who the subject is, as an order has it: strokes, box and the network that was chosen."""
    chosen = visit.wish.get("mask_model")
    return hints(visit.strokes, visit.size) | ({"mask_model": chosen} if chosen else {})


def is_known(parts: Parts, visit: Visit) -> bool:
    """Whether `look` has its answer at once."""
    return parts.visits.known(visit, _key(visit)) is not None


def look(parts: Parts, visit: Visit) -> Shown:
    """The mask of a visit's photo. Raises CycloramaError."""
    facts = parts.visits.known(visit, _key(visit))
    if facts is None:
        with parts.masks:
            facts = _found(parts, visit)
    if "none" in facts:
        raise NoSubject(facts["none"])
    left, top, right, bottom = facts["box"]
    return Shown(
        f"mask-{_key(visit)}.png", facts["share"], (left, top, right - left, bottom - top), tuple(facts["notes"])
    )


def _found(parts: Parts, visit: Visit) -> dict[str, Any]:
    """What is known of a mask that was not there just now; a run of the page that was given up may have found it."""
    key = _key(visit)
    facts = parts.visits.known(visit, key)
    if facts is not None:
        return facts
    try:
        cutout = parts.service.cutout(parts.visits.photo(visit), subject_of(visit), visit.owner)
    except NoSubject as error:
        facts = {"none": str(error)}
        parts.visits.keep_mask(visit, key, None, facts)
        return facts
    alpha = Image.fromarray(cutout.photo_alpha)
    facts = {
        "share": float(np.count_nonzero(cutout.photo_alpha > 127)) / cutout.photo_alpha.size,
        "notes": list(cutout.notes), "box": _extent(alpha),
    }  # fmt: skip
    parts.visits.keep_mask(visit, key, alpha, facts)
    return facts


def _key(visit: Visit) -> str:
    what = json.dumps([visit.photo, visit.strokes, visit.wish.get("mask_model")]).encode()
    return hashlib.sha256(what).hexdigest()[:16]


def _extent(alpha: Image.Image) -> tuple[int, int, int, int]:
    box = alpha.point(lambda value: 255 if value > 127 else 0).getbbox()
    return box or (0, 0, 1, 1)
