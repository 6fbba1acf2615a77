"""The subject of a photo, cut out, and put before backgrounds that are there already."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Unpack

from PIL import Image

from cyclorama.engine.arrays import Pixels
from cyclorama.engine.checks import shown, yes_or_no
from cyclorama.engine.compositing.background import Background
from cyclorama.engine.compositing.composite import finish
from cyclorama.engine.compositing.light import Light, light
from cyclorama.engine.compositing.placement import Placement, placement
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.machine import give_back_freed_memory, peak_memory
from cyclorama.engine.matting.foreground import foreground_colours
from cyclorama.engine.matting.hints import Hints
from cyclorama.engine.matting.looks import Looks
from cyclorama.engine.matting.matte import matting_network, refined
from cyclorama.engine.matting.networks import DEFAULT_MASK_MODEL
from cyclorama.engine.matting.subject import check, find_with_doubt
from cyclorama.engine.notes import collected_notes, note
from cyclorama.engine.options import MOST_PIXELS, SubjectKeywords, SubjectOptions, read
from cyclorama.engine.photo import Photo, Source, load_mask, load_photo
from cyclorama.engine.picture import Picture
from cyclorama.engine.timing import timed


@dataclass(frozen=True)
class Cutout:
    """The subject of a photo on its canvas.

    photo, photo_alpha: as photographed, (H, W, 3) and (H, W).  placement: how the photo lies on the canvas.
    alpha (h, w), foreground (h, w, 3): on the canvas; where alpha is between 0 and 255 the foreground holds the
    subject's own colours, without the old background's.  seconds: what making it took, per stage.
    notes: what was said meanwhile.  doubt: how often a mask of this kind is wrong, 0 to 1; None where that is not
    known: with hints, a given mask, or another network than the default.  looks: what the mask network saw.
    May be shared between threads, and pickled.
    """

    photo: Photo
    photo_alpha: Pixels
    placement: Placement
    alpha: Pixels
    foreground: Pixels
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    doubt: float | None = None
    looks: Looks = field(default_factory=Looks, repr=False, compare=False)
    _most_pixels: int = MOST_PIXELS

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
        return Background.blurred(self.photo, self.photo_alpha)

    def revised(self, **options: Unpack[SubjectKeywords]) -> Cutout:
        """The same photo cut out with other options, all anew; what the mask network saw before is not looked at again.

        Raises BadImage, NoSubject, InvalidOptions.
        """
        return _cut_out(self.photo, read(SubjectOptions, options), self.looks, {}, self._most_pixels)

    def on(self, background: Background, *, shadow: bool = False, colour_match: bool = False) -> Picture:
        """The subject on a given background, which is fitted to the canvas.

        background: see `Background`, or `out_of_focus()`.  shadow: a soft one where the subject stands.
        colour_match: the background is brought nearer to the photo's light.
        Raises InvalidOptions.
        """
        if not isinstance(background, Background):
            raise InvalidOptions(
                f"a background is Background.colour(...), .image(...) or .transparent(), got {shown(background)}",
                option="background",
            )
        yes_or_no("shadow", shadow)
        yes_or_no("colour_match", colour_match)
        seconds = dict(self.seconds)
        with timed(seconds, "background"):
            if colour_match:
                background.check_match()
            pixels = background.fitted(self.size, self.photo.icc_profile)
        with timed(seconds, "composite"):
            wanted = self.light if colour_match else None
            image, behind = finish(self.foreground, self.alpha, pixels, shadow=shadow, light=wanted)
        return Picture(
            image=Image.fromarray(image),
            alpha=Image.fromarray(self.alpha),
            background=Image.fromarray(behind),
            background_name=background.name,
            shadow=shadow,
            colour_match=colour_match,
            seconds=seconds,
            peak_memory=peak_memory(),
            notes=self.notes,
            doubt=self.doubt,
            icc_profile=self.photo.icc_profile,
            exif=self.photo.exif,
            xmp=self.photo.xmp,
        )


def cut_out(photo: Source, *, most_pixels: int = MOST_PIXELS, **options: Unpack[SubjectKeywords]) -> Cutout:
    """Finds the subject of a photo and places it on its canvas.

    mask: 255 subject, 0 background, the photo's size; given, no network looks for the subject. Left open, a photo's own
    transparency is its mask, unless `mask_model` is named or a hint given.  mask_model: `u2net-int8` or another of
    `models list`; or a Path to an ONNX file.  matting_model: likewise, a network that refines the edge of a mask that
    was found or given.  box: x, y, width, height around the subject, in pixels of the upright
    photo.  keep, drop: brush masks of the photo's size, white over what is and what is not the subject; the three
    help a mask model and do not go with `mask`.  canvas, subject_scale, subject_position, fill: see
    `engine.options.Layout`; left out, the subject stays where it is.  most_pixels: of the photo and of the canvas.
    Raises BadImage, NoSubject, InvalidOptions.
    """
    asked = read(SubjectOptions, options)
    seconds: dict[str, float] = {}
    with timed(seconds, "photo"):
        loaded = load_photo(photo, most_pixels)
    return _cut_out(loaded, asked, Looks(), seconds, most_pixels)


def _cut_out(photo: Photo, asked: SubjectOptions, looks: Looks, seconds: dict[str, float], most_pixels: int) -> Cutout:
    _check_pixels(asked.canvas_size(photo.size), most_pixels)
    with collected_notes() as notes:
        with timed(seconds, "mask"):
            mask = None if asked.mask is None else load_mask(asked.mask, photo.size)
            hints = Hints.read(photo.size, asked.box, asked.keep, asked.drop)
            alpha, doubt = _alpha(photo, mask, asked, hints, looks)
        placed = placement(asked, alpha)
        _check_pixels(placed.canvas, most_pixels)
    with timed(seconds, "edges"):
        # A photo's own transparency is that of a cut-out, which holds its own colours already.
        colours = photo.rgb if alpha is photo.alpha else foreground_colours(photo.rgb, alpha)
        foreground, placed_alpha = placed.place(colours, alpha)
    said = (*photo.notes, *notes)
    give_back_freed_memory()
    return Cutout(photo, alpha, placed, placed_alpha, foreground, seconds, said, doubt, looks, most_pixels)


def _check_pixels(canvas: tuple[int, int], most: int) -> None:
    if canvas[0] * canvas[1] > most:
        raise InvalidOptions(f"a canvas has at most {most} pixels here, got {canvas[0]}x{canvas[1]}", option="canvas")


def subject_alpha(photo: Photo, asked: SubjectOptions) -> Pixels:
    """The mask alone, (H, W): what `cut_out` would take. Raises BadImage, NoSubject, InvalidOptions."""
    mask = None if asked.mask is None else load_mask(asked.mask, photo.size)
    return _alpha(photo, mask, asked, Hints.read(photo.size, asked.box, asked.keep, asked.drop), Looks())[0]


def _alpha(
    photo: Photo, mask: Pixels | None, asked: SubjectOptions, hints: Hints, looks: Looks
) -> tuple[Pixels, float | None]:
    """From a given mask, the photo's own transparency, or a mask network, refined if asked; with its doubt."""
    network = None if asked.matting_model is None else matting_network(asked.matting_model)
    doubt = None
    if mask is not None:
        check(mask, "the given mask", "make it white over the subject and black elsewhere")
        alpha = mask
    elif asked.mask_model is None and photo.alpha is not None and not hints:
        unrefined = "" if network is None else ", and no matting model changes it"
        note(f"the photo's own transparency is its mask{unrefined}; name a mask model to look for the subject instead")
        check(photo.alpha, "the photo's own transparency")
        return photo.alpha, None
    else:
        mask_model = DEFAULT_MASK_MODEL if asked.mask_model is None else asked.mask_model
        alpha, doubt = find_with_doubt(photo.rgb, mask_model, hints, looks)
    if network is not None:
        alpha = refined(photo.rgb, alpha, network, hints)
        check(alpha, network.name, "leave out the matting model, or take another")
    return alpha, doubt
