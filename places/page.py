"""docs/places.md, made of places.toml: `python -m cyclorama.places.page`."""

from __future__ import annotations

from pathlib import Path

from cyclorama.places.place import Place, places

FILE = Path(__file__).resolve().parent.parent / "docs" / "places.md"
_INTRODUCTION = """\
# Where pictures are shown

Made by `python -m cyclorama.places.page` of [`places/places.toml`](../places/places.toml), where a rule that is out of
date is mended. Rules marked as second hand were read in what others write; the place's own page, which the table names,
was not opened. Look there before you rely on one.

```sh
cyclorama generate shoe.jpg --for amazon-main
cyclorama batch photos -o out --for walmart
cyclorama check out/*.jpg --for walmart
```

`--for` sets what was not given otherwise: canvas, fill, place in the middle, background, sRGB, most bytes, JPEG. A
subject is enlarged at most twice; a photo that is too small for that is refused, with figures. What was written is held
against the rules at once, and `check` does so for any file: it says which rule is broken and by how much, and exits
with 3.

`check` sees what can be seen in a file. It does not know whether the product is what is sold, whether there is text or
a logo on the picture, and whether a shadow is meant.

| place | file | sides, pixels | background, filled | made | source, read on |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page."""
    return _INTRODUCTION + "".join(_line(one) for one in places().values())


def _line(one: Place) -> str:
    file = [", ".join(one.formats)] if one.formats else []
    file += [f"{one.bytes / 1e6:g} MB"] if one.bytes else []
    file += ["sRGB"] if one.srgb else []
    sides = [one.shape] if one.shape else []
    for name, limits in (("longest", one.longest_side), ("shortest", one.shortest_side)):
        if limits is not None:
            most = f" to {limits[1]:,}" if limits[1] < 100_000 else " or more"
            sides.append(f"{name} {limits[0]:,}{most}")
    sides += [f"{one.pixels:g} million"] if one.pixels else []
    behind = [one.background] if one.background else []
    behind += [f"{one.fill[0]:.0%} or more"] if one.fill else []
    behind += [] if one.shadow else ["no shadow"]
    made = [str(one.make["canvas"])]
    made += [f"fill {one.make['fill']:g}"] if "fill" in one.make else []
    made += [one.make_background] if one.make_background else []
    source = f"[{one.title}]({one.source}), {one.read}" if one.source else "custom"
    source += "" if one.first_hand or not one.source else ", second hand"
    cells = (f"`{one.name}`", "; ".join(file), "; ".join(sides), "; ".join(behind), "; ".join(made), source)
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
