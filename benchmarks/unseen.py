"""`python -m cyclorama.benchmarks.unseen FOLDER`: what of a canvas the VAE could leave out, by photos with their truth.

FOLDER holds NAME.jpg with NAME.png, white over the subject. Decoding, it could leave out a rectangle that lies within
the subject by the receptive field of the layers at full and at half size; encoding, all that lies outside the subject's
box by as much. What else such a cut would cost is not counted.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image

from cyclorama.benchmarks.photos import truths
from cyclorama.engine.arrays import Pixels
from cyclorama.engine.diffusion.frame import Frame

_SIZE, _MULTIPLE, _MARGIN = 512, 64, 24
_THIRD = (0.25, 0.42)  # of the canvas: a subject of about a third


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Prints a table."""
    rows = np.array([_shares(truth.alpha) for truth in truths(folder)])
    are_third = (rows[:, 0] > _THIRD[0]) & (rows[:, 0] < _THIRD[1])
    click.echo("| | photos | of the canvas, decoding | encoding |\n|---|---|---|---|")
    for name, part in (("all", rows), ("subject about a third", rows[are_third])):
        cells = [f"{np.median(part[:, i]):.0%} ({np.percentile(part[:, i], 90):.0%})" for i in (1, 2)]
        click.echo(f"| {name}, median (and ninth tenth) | {len(part)} | " + " | ".join(cells) + " |")


def _shares(alpha: Pixels) -> tuple[float, float, float]:
    """Of the canvas: the subject, what need not be decoded, what need not be encoded."""
    frame = Frame.fit((alpha.shape[1], alpha.shape[0]), _SIZE, _MULTIPLE)
    small = np.asarray(Image.fromarray(alpha).resize((frame.width, frame.height), Image.Resampling.BOX))
    rows, columns = (np.flatnonzero((small > 5).any(axis)) for axis in (1, 0))
    sides = [min(size, where[-1] + 1 + _MARGIN) - max(0, where[0] - _MARGIN)
             for size, where in zip(small.shape, (rows, columns), strict=True)]  # fmt: skip
    inside = (small > 250).astype(np.uint8)
    return float((small > 127).mean()), _within(inside) / small.size, 1 - sides[0] * sides[1] / small.size


def _within(subject: Pixels) -> int:
    """Pixels of the largest rectangle that lies within by the margin."""
    heights, most = np.zeros(subject.shape[1], int), 0
    for row in subject:
        heights = np.where(row, heights + 1, 0)
        open_at: list[tuple[int, int]] = []  # where rectangles of such heights begin, the lowest first
        for x, height in enumerate([*heights.tolist(), 0]):
            start = x
            while open_at and open_at[-1][1] >= height:
                start, tall = open_at.pop()
                most = max(most, max(0, x - start - 2 * _MARGIN) * max(0, tall - 2 * _MARGIN))
            open_at.append((start, height))
    return most


if __name__ == "__main__":
    main()
