"""The README's pictures, made by the embedded model: run `make pictures`."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from cyclorama import Background, BackgroundGenerator, Picture, cut_out
from cyclorama.benchmarks.masks import PROMPTS

DOCS = Path(__file__).parent
ROWS = {
    "astronaut": ("lavender field", "grey studio backdrop", "autumn leaves"),
    "coffee": ("ocean at sunset", "white studio backdrop", "garden with pink flowers"),
}
PHOTOS = ("astronaut", "cat", "coffee", "flower", "bowl", "drum")
GAP = 6
# By what there is to see: hair and fur, hard edges and a cast shadow, what is left wrong.
MASKS = {"hair": ("astronaut", "cat"), "things": ("coffee", "bowl"), "more": ("flower", "drum")}
EDGE = (75, 50)  # pixels of the photo, shown at 400 %


def main() -> None:
    """All sheets."""
    generator = BackgroundGenerator.load("nano")
    before_after(generator).save(DOCS / "before-after.jpg", quality=90)
    every_photo_by_every_prompt(generator).save(DOCS / "sheet.jpg", quality=85)
    places(generator).save(DOCS / "places.jpg", quality=90)
    _sheet([standing()]).save(DOCS / "shadows.jpg", quality=90)
    for name, photos in MASKS.items():
        masks_and_edges(generator, photos).save(DOCS / f"masks-{name}.jpg", quality=90)


def places(generator: BackgroundGenerator) -> Image.Image:
    """Each row: a photo, then its subject on what is not painted, or not on the photo's own canvas."""
    rows = []
    for name in ("coffee", "drum"):
        photo = DOCS / "photos" / f"{name}.jpg"
        cutout = cut_out(photo)
        portrait = generator.prepare(photo, canvas="4:5")
        pictures = (
            cutout.on(cutout.out_of_focus()),
            cut_out(photo, canvas="square").on(Background.colour("white"), shadow=True),
            generator.generate(portrait, "grey studio backdrop", seed=0, shadow=True, colour_match=True),
            cut_out(photo, canvas="16:9", subject_scale=0.7, subject_position=(0.1, 0.9)).on(Background.transparent()),
        )
        shown = [Image.fromarray(cutout.photo.rgb), *(_on_squares(picture) for picture in pictures)]
        rows.append([picture.resize((round(220 * picture.width / picture.height), 220)) for picture in shown])
    return _sheet(rows)


def standing() -> list[Image.Image]:
    """Three subjects on a plain ground, each with its shadow."""
    on = [
        cut_out(DOCS / "photos" / f"{name}.jpg", canvas="square", fill=0.7).on(
            Background.colour("#f2f0ec"), shadow=True
        )
        for name in ("drum", "bowl", "coffee")
    ]
    return [_fit(picture.image, 300) for picture in on]


def _on_squares(picture: Picture) -> Image.Image:
    """What is transparent, on grey squares, as it is shown everywhere."""
    if picture.image.mode == "RGB":
        return picture.image
    y, x = np.indices((picture.image.height, picture.image.width)) // 16
    squares = Image.fromarray(np.where((x + y) % 2, 205, 255).astype(np.uint8)).convert("RGBA")
    return Image.alpha_composite(squares, picture.image).convert("RGB")


def before_after(generator: BackgroundGenerator) -> Image.Image:
    """Each row: a photo, then three backgrounds, all with seed 0."""
    rows = []
    for name, prompts in ROWS.items():
        scene = generator.prepare(DOCS / "photos" / f"{name}.jpg")
        pictures = [generator.generate(scene, prompt, seed=0).image for prompt in prompts]
        rows.append([_fit(picture, 300) for picture in (Image.fromarray(scene.cutout.photo.rgb), *pictures)])
    return _sheet(rows)


def every_photo_by_every_prompt(generator: BackgroundGenerator) -> Image.Image:
    """A row for each photo, a column for each prompt; the n-th is painted with seed n: nothing is picked."""
    rows = []
    for name in PHOTOS:
        scene = generator.prepare(DOCS / "photos" / f"{name}.jpg")
        pictures = [generator.generate(scene, prompt, seed=seed).image for seed, prompt in enumerate(PROMPTS)]
        rows.append([_fit(picture, 160) for picture in pictures])
    return _sheet(rows)


def masks_and_edges(generator: BackgroundGenerator, photos: tuple[str, ...]) -> Image.Image:
    """Each row: a photo, its mask, the edge where it is softest at 400 %, before and after, and the picture."""
    rows = []
    for name in photos:
        scene = generator.prepare(DOCS / "photos" / f"{name}.jpg")
        result = generator.generate(scene, "plain blue studio backdrop", seed=0)
        photo = Image.fromarray(scene.cutout.photo.rgb)
        left, top = _softest(np.asarray(result.alpha))
        box = (left, top, left + EDGE[0], top + EDGE[1])
        large = (4 * EDGE[0], 4 * EDGE[1])
        edges = [picture.crop(box).resize(large, Image.Resampling.NEAREST) for picture in (photo, result.image)]
        pictures = (photo, result.alpha.convert("RGB"), *edges, result.image)
        rows.append([ImageOps.fit(picture, large, Image.Resampling.LANCZOS) for picture in pictures])
    return _sheet(rows)


def _softest(alpha: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Left and top of the window in which most pixels are neither subject nor background."""
    soft = np.pad(((alpha > 25) & (alpha < 230)).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    width, height = EDGE
    counts = soft[height:, width:] - soft[:-height, width:] - soft[height:, :-width] + soft[:-height, :-width]
    top, left = np.unravel_index(counts.argmax(), counts.shape)
    return int(left), int(top)


def _fit(picture: Image.Image, width: int) -> Image.Image:
    return picture.resize((width, round(width * picture.height / picture.width)), Image.Resampling.LANCZOS)


def _sheet(rows: list[list[Image.Image]]) -> Image.Image:
    width = max(sum(picture.width + GAP for picture in row) for row in rows) - GAP
    sheet = Image.new("RGB", (width, sum(row[0].height + GAP for row in rows) - GAP), "white")
    top = 0
    for row in rows:
        left = 0
        for picture in row:
            sheet.paste(picture, (left, top))
            left += picture.width + GAP
        top += row[0].height + GAP
    return sheet


if __name__ == "__main__":
    main()
