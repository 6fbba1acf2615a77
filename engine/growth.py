"""Did the subject grow? Object extension, and the choice among several pictures by it.

Eshratifar et al., "Salient Object-Aware Background Generation using Text-Guided Diffusion Models" (2024): the area that
a mask network calls subject in the new picture beyond the old subject, over the old subject's area. They look at what
the model painted before anything is pasted. Here the finished picture is looked at: a model that paints backgrounds
only, as nano does, shows no subject of its own, and then whatever stands out in the background would count.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageFilter

from cyclorama.engine.cancelling import stop_if_cancelled
from cyclorama.engine.matting.networks import mask_network
from cyclorama.engine.picture import Result

_NETWORK = "u2netp"  # small, and what the figures of growth were measured with
_SIDE = 320  # of the square that both masks are compared on
_SLACK = 3  # cells: the two masks come from different networks and sizes; so near the edge nothing counts as growth
_RING = 4  # cells inside the subject's edge: where the seam is judged


def object_extension(result: Result) -> float:
    """The area of growth over the subject's area, 0 or more."""
    stop_if_cancelled()
    confidence = mask_network(_NETWORK).confidence(result.image)
    found = np.asarray(Image.fromarray(confidence).resize((_SIDE, _SIDE))) > 0.5
    alpha = result.alpha.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    before = np.asarray(alpha) > 127
    grown = np.asarray(alpha.filter(ImageFilter.MaxFilter(2 * _SLACK + 1))) > 127
    return int(np.count_nonzero(found & ~grown)) / max(1, int(np.count_nonzero(before)))


def seam(result: Result) -> float:
    """How far what was painted just inside the subject's edge is from the subject there: mean grey levels, 0 to 255.

    A model that saw the subject paints on from it; the less it misses it by, the less the edge shows.
    """
    size = (_SIDE, _SIDE)
    alpha = result.alpha.resize(size, Image.Resampling.BOX)
    inner = np.asarray(alpha.filter(ImageFilter.MinFilter(2 * _RING + 1))) > 127
    ring = (np.asarray(alpha) > 127) & ~inner
    if not ring.any():
        return 0.0
    shown, painted = (
        np.asarray(image.resize(size, Image.Resampling.BOX), np.float64) for image in (result.image, result.background)
    )
    return float(np.abs(shown - painted)[ring].mean())


class Best:
    """The picture whose subject grew least, to a hundredth, and of equals the one with the best seam.

    good_enough: the first that grew no more than this share of the subject's area is taken, and no more are needed.
    """

    def __init__(self, good_enough: float | None = None) -> None:
        self._good_enough = good_enough
        self._chosen: tuple[tuple[float, float], Result] | None = None

    def offer(self, result: Result) -> bool:
        """Looks at one more picture; whether it is good enough."""
        growth = object_extension(result)
        if self._good_enough is not None and growth <= self._good_enough:
            self._chosen = ((-1.0, 0.0), result)
            return True
        worth = (round(growth, 2), seam(result))
        if self._chosen is None or worth < self._chosen[0]:
            self._chosen = (worth, result)
        return False

    @property
    def result(self) -> Result:
        """The best of those that were offered, at least one."""
        assert self._chosen is not None
        return self._chosen[1]


def best(results: Iterable[Result], good_enough: float | None = None) -> Result:
    """The best of pictures that are painted as they are asked for: see `Best`."""
    chosen = Best(good_enough)
    for result in results:
        if chosen.offer(result):
            break
    return chosen.result
