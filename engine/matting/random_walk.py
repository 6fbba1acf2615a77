"""Where does the subject end? What a mask network is unsure of, settled by colour and by edges.

Subject and background each get a mixture of Gaussians over colour, fitted to what is taken for them so far, as in
GrabCut (Rother et al., 2004). In place of its graph cut, random walks with such priors (Grady, 2005) give each pixel a
probability: the least sum of squared steps across neighbours, each weighed by how alike they are. That is one linear
system, and it wants no library.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.engine.arrays import Array, Mask, Pixels, reduced_size

_SURE = (0.1, 0.9)  # of a network's confidence: taken as it is
# Rounds of fitting and walking, and the weight of the network's log odds in the prior beside those of colour: by
# itself, and with a person's hints, so that colours tell more.
_ALONE, _HINTED = (1, 1.0), (2, 0.2)
_ITERATIONS = 30  # of Jacobi's method, from what the colours say
_COMPONENTS = 5
FEWEST = 4 * _COMPONENTS + 1  # pixels for a mixture: so that one component at least has five
_SAMPLES = 3000  # pixels that a mixture is fitted to
_SMOOTHNESS = 2.0  # neighbours' weight against the priors'
_SHARPNESS = 2.0  # of the result's log odds
_CERTAIN = 1e3  # a prior that nothing outweighs
_STEPS = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.5**0.5), (1, -1, 0.5**0.5))  # down, right, and 1 / distance


def settle(
    rgb: Pixels,
    confidence: Array,
    keep: Mask | None = None,
    drop: Mask | None = None,
    has_hints: bool = False,
    side: int = 320,
) -> Array:
    """The subject's alpha by a network's confidence and the image itself.

    rgb: (H, W, 3) uint8.  confidence: (h, w) of any size over the same view, 0..1.  keep, drop: (H, W), what is
    subject and what is background for certain.  has_hints: a person said what is subject or not.
    side: of the copy that is worked on, the longer, at most: what the network sees.
    Returns (h', w') float32 in 0..1.
    """
    height, width = rgb.shape[:2]
    size = reduced_size(width, height, side, least=2)
    image = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX), np.float32)
    prior = np.clip(np.asarray(Image.fromarray(confidence).resize(size, Image.Resampling.BILINEAR)), 0, 1)
    inside, outside = prior > _SURE[1], prior < _SURE[0]
    if keep is not None:
        kept = shrunk(keep, size)
        inside, outside = inside | kept, outside & ~kept
    if drop is not None:
        dropped = shrunk(drop, size)
        inside, outside = inside & ~dropped, outside | dropped
    return _walk(image, prior, inside, outside, has_hints)


def shrunk(mask: Mask, size: tuple[int, int]) -> Mask:
    """A stroke (H, W) at another width and height; thin ones count."""
    return np.asarray(Image.fromarray(mask).convert("L").resize(size, Image.Resampling.BOX)) > 25


def _walk(image: Array, prior: Array, inside: Mask, outside: Mask, has_hints: bool) -> Array:
    rng = np.random.default_rng(0)
    colours = image.reshape(-1, 3)
    unsure = ~(inside | outside)
    alpha = np.where(inside, np.float32(1), np.where(outside, np.float32(0), prior))
    rounds, of_network = _HINTED if has_hints else _ALONE
    for _ in range(rounds):
        is_subject = alpha.ravel() > 0.5
        if min(np.count_nonzero(is_subject), np.count_nonzero(~is_subject)) < FEWEST or not unsure.any():
            break
        subject, background = (Mixture(colours[chosen], rng) for chosen in (is_subject, ~is_subject))
        unknown = colours[unsure.ravel()]
        odds = np.clip(subject.log_density(unknown) - background.log_density(unknown), -6, 6)
        likely = np.where(inside, np.float32(1), np.float32(0))
        likely[unsure] = probability(odds + np.float32(of_network) * log_odds(prior[unsure], 0.01))
        alpha = walked(image, likely, unsure)
    return probability(np.float32(_SHARPNESS) * log_odds(alpha, 1e-3))


def walked(
    image: Array, likely: Array, unsure: Mask, smoothness: float = _SMOOTHNESS, iterations: int = _ITERATIONS
) -> Array:
    """Random walks from each pixel of an image (H, W, 3): how likely they end in the subject, (H, W).

    likely: (H, W), what each pixel is taken for; where it is not unsure, that is held.  smoothness: how much neighbours
    of the same colour count beside it.  iterations: of Jacobi's method.
    """
    edges = _edges(image, smoothness)
    degree = np.zeros_like(likely)
    for here, there, weight in edges:
        degree[here] += weight
        degree[there] += weight
    strength = np.where(unsure, np.float32(1), np.float32(_CERTAIN))
    pull, total = strength * likely, strength + degree
    alpha = likely
    for _ in range(iterations):
        near = pull.copy()
        for here, there, weight in edges:
            near[here] += weight * alpha[there]
            near[there] += weight * alpha[here]
        alpha = near / total
    return alpha


def _edges(image: Array, smoothness: float) -> list[tuple[tuple[slice, slice], tuple[slice, slice], Array]]:
    """Each pixel's links to four of its eight neighbours: two views of the grid, and how alike they are there."""
    height, width, _ = image.shape
    views = [
        (
            (slice(0, height - down), slice(max(0, -right), width - max(0, right))),
            (slice(down, height), slice(max(0, right), width - max(0, -right))),
            nearness,
        )
        for down, right, nearness in _STEPS
    ]
    squares = [((image[here] - image[there]) ** 2).sum(-1) for here, there, _ in views]
    beta = 1 / (2 * np.mean([square.mean() for square in squares]) + 1e-6)
    return [
        (here, there, (smoothness * nearness * np.exp(-beta * square)).astype(np.float32))
        for (here, there, nearness), square in zip(views, squares, strict=True)
    ]


class Mixture:
    """Gaussians over colour around the centres that k-means finds; colours (N, 3) of 0..255."""

    def __init__(self, colours: Array, rng: np.random.Generator) -> None:
        if len(colours) > _SAMPLES:
            colours = colours[rng.choice(len(colours), _SAMPLES, replace=False)]
        nearest = _clusters(colours, rng)
        self._parts = []
        for number in range(_COMPONENTS):
            own = colours[nearest == number]
            if len(own) < 5:
                continue
            covariance = np.cov(own.T) + 9 * np.eye(3)  # 3 grey levels of noise
            weight = np.log(len(own) / len(colours)) - 0.5 * np.linalg.slogdet(covariance)[1]
            inverse = np.linalg.inv(covariance).astype(np.float32)
            self._parts.append((np.float32(weight), own.mean(0), inverse))

    def log_density(self, colours: Array) -> Array:
        """(N, 3) -> (N,), but for a constant."""
        logs = []
        for weight, mean, inverse in self._parts:
            away = colours - mean
            logs.append(weight - 0.5 * np.einsum("ni,ij,nj->n", away, inverse, away, optimize=True))
        return np.asarray(np.logaddexp.reduce(np.maximum(logs, -30.0), axis=0), np.float32)


def _clusters(colours: Array, rng: np.random.Generator, rounds: int = 6) -> npt.NDArray[np.integer]:
    """k-means from k-means++ (Arthur & Vassilvitskii, 2007): the number of each colour's cluster."""
    centres = [colours[rng.integers(len(colours))]]
    away = ((colours - centres[0]) ** 2).sum(1)
    for _ in range(_COMPONENTS - 1):
        total = float(away.sum(dtype=np.float64))
        chosen = int(rng.choice(len(colours), p=away.astype(np.float64) / total)) if total > 0 else 0
        centres.append(colours[chosen])
        away = np.minimum(away, ((colours - centres[-1]) ** 2).sum(1))
    middle = np.array(centres)
    for _ in range(rounds):
        nearest = ((colours**2).sum(1)[:, None] - 2 * colours @ middle.T + (middle**2).sum(1)).argmin(1)
        for number in range(_COMPONENTS):
            own = nearest == number
            if own.any():
                middle[number] = colours[own].mean(0)
    return np.asarray(nearest)


def log_odds(confidence: Array, margin: float) -> Array:
    """Of what is within 0 to 1, kept `margin` away from both."""
    clipped = np.clip(confidence, margin, 1 - margin)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


def probability(odds: Array) -> Array:
    """0 to 1 by log odds."""
    return np.asarray(1 / (1 + np.exp(-odds)), np.float32)
