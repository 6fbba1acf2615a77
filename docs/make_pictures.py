"""The README's pictures, made by the embedded model: run `make pictures`."""

from pathlib import Path

from PIL import Image

from engine import BackgroundGenerator

DOCS = Path(__file__).parent
ROWS = {
    "astronaut": ("lavender field", "grey studio backdrop", "autumn leaves"),
    "coffee": ("ocean at sunset", "white studio backdrop", "garden with pink flowers"),
}
TILE, GAP = 300, 6


def main() -> None:
    """Each row: the photo, then three backgrounds, all with seed 0."""
    generator = BackgroundGenerator.load("nano")
    rows = []
    for name, prompts in ROWS.items():
        photo = DOCS / "photos" / f"{name}.jpg"
        scene = generator.prepare(photo)
        pictures = [Image.fromarray(scene.photo.rgb)]
        pictures += [generator.generate(scene, prompt, seed=0).image for prompt in prompts]
        height = round(TILE * pictures[0].height / pictures[0].width)
        rows.append([picture.resize((TILE, height), Image.Resampling.LANCZOS) for picture in pictures])
    columns = len(rows[0])
    sheet = Image.new("RGB", (columns * (TILE + GAP) - GAP, sum(row[0].height + GAP for row in rows) - GAP), "white")
    top = 0
    for row in rows:
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * (TILE + GAP), top))
        top += row[0].height + GAP
    sheet.save(DOCS / "before-after.jpg", quality=90)


if __name__ == "__main__":
    main()
