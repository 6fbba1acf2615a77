"""The subject of a photo, cut out, and put before backgrounds that are there already."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from cyclorama.engine.checks import yes_or_no
from cyclorama.engine.compositing.background import Background
from cyclorama.engine.compositing.finish import finish
from cyclorama.engine.compositing.light import Light, light
from cyclorama.engine.compositing.placement import Layout, Placement
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.machine import peak_memory
from cyclorama.engine.matting.foreground import foreground_colours
from cyclorama.engine.matting.subject import Hints, subject_alpha
from cyclorama.engine.notes import collected_notes
from cyclorama.engine.photo import Photo, Pixels, Source, load_photo
from cyclorama.engine.picture import Picture
from cyclorama.engine.timing import timed


@dataclass(frozen=True)
class Cutout:
    """The subject of a photo on its canvas.

    photo, photo_alpha: as photographed, (H, W, 3) and (H, W).  placement: how the photo lies on the canvas.
    alpha (h, w), foreground (h, w, 3): on the canvas; where alpha is between 0 and 255 the foreground holds the
    subject's own colours, without the old background's.  seconds: what making it took, per stage.
    notes: what was said meanwhile.  May be shared between threads.
    """

    photo: Photo
    photo_alpha: Pixels
    placement: Placement
    alpha: Pixels
    foreground: Pixels
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the canvas."""
        return self.placement.canvas

    @property
    def is_placed(self) -> bool:
        """Whether the subject has left its place in the photo."""
        return self.placement != Placement(self.photo.size, 1, 0, 0)

    @cached_property
    def light(self) -> Light:
        """What the photo was taken in: that of the whole photo, for a subject has a colour of its own."""
        return light(self.photo.rgb, self.photo.alpha)

    def out_of_focus(self) -> Background:
        """The photo's own background as a wide aperture would show it."""
        return Background.out_of_focus(self.photo, self.photo_alpha)

    def on(self, background: Source | Background, *, shadow: bool = False, colour_match: bool = False) -> Picture:
        """The subject on a given background, which is fitted to the canvas.

        background: an image or its file, a colour, `transparent`, or `out_of_focus()`.  shadow: a soft one where the
        subject stands.  colour_match: the background is brought nearer to the photo's light.
        Raises BadImage and InvalidOptions.
        """
        yes_or_no("shadow", shadow)
        yes_or_no("colour_match", colour_match)
        seconds = dict(self.seconds)
        with timed(seconds, "background"):
            given = background if isinstance(background, Background) else Background.load(background)
            if colour_match:
                given.check_match()
            pixels = given.fitted(self.size, self.photo.icc_profile)
        with timed(seconds, "composite"):
            wanted = self.light if colour_match else None
            image, behind = finish(self.foreground, self.alpha, pixels, shadow=shadow, light=wanted)
        return Picture(
            image=Image.fromarray(image),
            alpha=Image.fromarray(self.alpha),
            background=Image.fromarray(behind),
            background_name=given.name,
            shadow=shadow,
            colour_match=colour_match,
            seconds=seconds,
            peak_memory=peak_memory(),
            notes=self.notes,
            icc_profile=self.photo.icc_profile,
            exif=self.photo.exif,
            xmp=self.photo.xmp,
        )


def cut_out(
    photo: Source,
    *,
    mask: Source | None = None,
    mask_model: str | None = None,
    box: tuple[int, int, int, int] | None = None,
    keep: Source | None = None,
    drop: Source | None = None,
    canvas: str | None = None,
    subject_scale: float | None = None,
    subject_position: tuple[float, float] | None = None,
) -> Cutout:
    """Finds the subject of a photo and places it on its canvas.

    mask: 255 subject, 0 background, the photo's size; given, no network looks for the subject.
    Left open, a photo's own transparency is its mask, unless `mask_model` is named or a hint given.
    mask_model: `u2netp` or a model of rembg's.  box: x, y, width, height around the subject, in pixels of the
    upright photo.  keep, drop: brush masks of the photo's size, white over what is and what is not the subject;
    the three help a mask model and do not go with `mask`.  canvas, subject_scale, subject_position: see
    `engine.compositing.placement.Layout`; left out, the subject stays where it is.
    Raises BadImage, NoSubject, InvalidOptions.
    """
    if mask is not None and any(hint is not None for hint in (mask_model, box, keep, drop)):
        raise InvalidOptions("a mask was given, and a mask model or a hint for one too; leave out either")
    layout = Layout(canvas, subject_scale, subject_position)
    seconds: dict[str, float] = {}
    with timed(seconds, "photo"):
        loaded = load_photo(photo)
    with collected_notes() as notes:
        with timed(seconds, "mask"):
            alpha = subject_alpha(loaded, mask, mask_model, Hints.read(loaded.size, box, keep, drop))
        placement = layout.placement(alpha)
    with timed(seconds, "edges"):
        # A photo's own transparency is that of a cut-out, which holds its own colours already.
        colours = loaded.rgb if alpha is loaded.alpha else foreground_colours(loaded.rgb, alpha)
        foreground, placed = placement.place(colours, alpha)
    return Cutout(loaded, alpha, placement, placed, foreground, seconds, (*loaded.notes, *notes))
