"""Backdrops that are one surface: studio paper and canvas, gradients, fabric, wood, brick, marble, concrete, lights."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import numpy as np
from numpy.typing import ArrayLike

from training.canvas import Canvas, Drawn, Picture, blur, colour, mix, smoothstep
from training.palette import COLOURS, SYNONYMS
from training.places import cafe, citynight, kitchen, library, livingroom, office

NAMES = tuple(COLOURS)


def spoken(canvas: Canvas, name: str) -> str:
    """The palette's name of a colour, or another word for it."""
    return canvas.pick(SYNONYMS[name]) if canvas.chance(0.35) else name


def lit(tone: Picture, light: ArrayLike) -> Picture:
    """A colour under a light of shape (H, W): darker where it is below 1, towards white where it is above."""
    amount = np.asarray(light, np.float32)[..., None]
    return np.asarray(tone * np.minimum(amount, 1) + (1 - tone) * (1 - np.exp(-np.maximum(amount - 1, 0))), np.float32)


def true_to(picture: Picture, tone: Picture) -> Picture:
    """The picture with its mean brought to `tone`, as the caption will call it by that colour."""
    for _ in range(3):  # clipping moves the mean again
        picture = np.clip(picture * (tone / (picture.mean((0, 1)) + 1e-3)), 0, 1)
    return mix(picture, tone, 0.5) if np.abs(picture.mean((0, 1)) - tone).max() > 0.05 else picture


def falloff(canvas: Canvas, strength: float) -> tuple[Picture, str]:
    """Uneven studio light of shape (H, W) around 1, and what to say of it."""
    kind = canvas.pick(("spot", "spot", "side", "top", "vignette"))
    if kind == "side":
        left = canvas.chance(0.5)
        ramp = canvas.along(canvas.between(-0.5, 0.5) + (pi if left else 0))
        return 1 + strength * ramp, canvas.pick(("lit from the side", "with side light", "with light from one side"))
    if kind == "top":
        return np.asarray(1 + strength * canvas.along(canvas.between(-0.2, 0.2) - pi / 2), np.float32), "lit from above"
    if kind == "vignette":
        fall = smoothstep(canvas.between(0.2, 0.4), canvas.between(0.7, 1.0), canvas.distance(0.5, 0.5))
        return 1.1 - 1.3 * strength * fall, canvas.pick(
            ("with dark corners", "with a soft vignette", "with a vignette")
        )
    spot = canvas.distance(canvas.between(0.3, 0.7), canvas.between(0.25, 0.65))
    phrases = ("with a soft spotlight", "with a light spot behind the subject", "with a soft glow", "softly lit")
    return 1 + strength * (1 - 2 * smoothstep(0, canvas.between(0.6, 1), spot)), canvas.pick(phrases)


def studio(canvas: Canvas) -> Drawn:
    """A coloured studio backdrop: even, unevenly lit, with a floor, or mottled canvas."""
    name = canvas.pick(NAMES)
    tone = np.clip(canvas.vary(COLOURS[name], 0.02), 0, 0.97)
    says = spoken(canvas, name)
    # The light end of the scale has no room above it, and may not darken into another name.
    strength = canvas.between(0.15, 0.6) * (1 - 0.65 * float(tone.mean()))
    light, phrase = falloff(canvas, strength)
    details: list[str] = []
    nouns: tuple[str, ...] = (
        f"{says} studio backdrop", f"{says} studio background", f"plain {says} background", f"{says} backdrop",
        f"seamless {says} paper backdrop", f"{says} photo studio", f"{says} wall", says, f"{says} background",
        f"solid {says} background", f"simple {says} background", f"{says} portrait backdrop",
    )  # fmt: skip
    kind = canvas.pick(("plain", "plain", "uneven", "uneven", "uneven", "floor", "floor", "mottled", "mottled"))
    if kind == "plain":
        light = 1 + 0.2 * (light - 1)
        details += [canvas.pick(("evenly lit", "plain", "with even light"))] if canvas.chance(0.3) else []
    elif canvas.chance(0.4):
        details.append(phrase)
    if kind == "floor":
        edge = canvas.between(0.62, 0.85)
        step = canvas.pick((-1, 1)) * canvas.between(0.12, 0.3) * (1 - 0.5 * float(tone.mean()))
        soft = canvas.pick((0.012, 0.05, 0.12))  # a wall's foot, or the sweep of a paper roll
        floor = smoothstep(edge - soft, edge + soft, canvas.y)
        light = light * (1 + step * floor * (1.2 - (canvas.y - edge)))
        details.append(canvas.pick(("with floor", "with a floor", "with a matching floor", "with room to stand")))
        nouns = nouns[:6]
    if kind == "mottled":
        blotches = canvas.noise(canvas.between(1.5, 2.0), lowest=canvas.pick((1.0, 2.0, 3.0)))
        light = light * (1 + canvas.between(0.1, 0.22) * (1 - 0.4 * float(tone.mean())) * blotches)
        nouns = (
            f"mottled {says} studio backdrop", f"painted {says} canvas backdrop", f"textured {says} backdrop",
            f"{says} hand painted backdrop", f"{says} canvas background", f"old master style {says} backdrop",
            f"mottled {says} background", f"cloudy {says} portrait backdrop",
        )  # fmt: skip
    picture = true_to(lit(tone, light), tone)
    return Drawn(picture, canvas.pick(nouns), tuple(details), (0.2, 2.0))


def gradient(canvas: Canvas) -> Drawn:
    """Two named colours that run into each other: straight, round or cloudy."""
    first = canvas.pick(NAMES)
    far = [name for name in NAMES if np.linalg.norm(colour(*COLOURS[first]) - colour(*COLOURS[name])) > 0.4]
    second = canvas.pick(far)
    a, b = spoken(canvas, first), spoken(canvas, second)
    kind = canvas.pick(("down", "down", "across", "across", "diagonal", "round", "cloudy", "cloudy"))
    details: tuple[str, ...] = ()
    if kind == "round":
        way = canvas.distance(canvas.between(0.3, 0.7), canvas.between(0.3, 0.7)) / canvas.between(0.6, 0.85)
        details = (f"{a} in the middle",) if canvas.chance(0.5) else ()
    elif kind == "down":
        way = np.broadcast_to(canvas.y, (canvas.height, canvas.width))
        says = (f"{a} on top", f"from {a} at the top to {b} at the bottom", f"{a} above and {b} below")
        details = (canvas.pick(says),) if canvas.chance(0.6) else ()
    elif kind == "across":
        way = np.broadcast_to(canvas.x, (canvas.height, canvas.width))
        says = (f"{a} beside {b}", "from side to side", "side by side")  # pictures are mirrored later: no left or right
        details = (canvas.pick(says),) if canvas.chance(0.6) else ()
    else:
        way = canvas.along(canvas.between(0, 2 * pi)) * 0.8 + 0.5
    if kind == "cloudy":
        way = 0.5 + 0.5 * (way - 0.5) + 0.25 * canvas.noise(2.4)
    soft = canvas.between(0.0, 0.3)
    picture = mix(
        canvas.vary(COLOURS[first], 0.02), canvas.vary(COLOURS[second], 0.02), smoothstep(soft, 1 - soft, way)
    )
    subject = canvas.pick((
        f"{a} and {b} gradient", f"abstract {a} and {b} background", f"gradient from {a} to {b}",
        f"{a} to {b} gradient",
        f"{a} {b} gradient background", f"smooth {a} and {b} colour gradient", f"{a} fading into {b}",
        f"blurred {a} and {b} colours", f"{a} and {b} background",
    ))  # fmt: skip
    if canvas.chance(0.2):  # no colour named: any two will do, but two they are
        details = ()
        subject = canvas.pick((
            "colour gradient", "gradient", "smooth gradient", "gradient background", "smooth gradient background",
            "abstract gradient", "two colours blending into each other", "soft colour gradient",
            "abstract blurred colours", "color gradient backdrop", "gradient wallpaper",
        ))  # fmt: skip
    return Drawn(picture, subject, details, (0.2, 1.5))


def fabric(canvas: Canvas) -> Drawn:
    """Cloth in one named colour: a hanging curtain, or silk in swinging folds."""
    name = canvas.pick(NAMES)
    tone = canvas.vary(COLOURS[name], 0.02)
    says = spoken(canvas, name)
    folds = canvas.between(2.5, 6)
    curtain = canvas.chance(0.4)
    angle = canvas.between(-0.06, 0.06) if curtain else canvas.between(-1.0, 1.0)
    sway = canvas.noise(2.4, 1.0, 0.25 if curtain else 1.0) * (0.05 if curtain else canvas.between(0.05, 0.12))
    phase = (canvas.along(angle) + sway + canvas.profile(2.0) * 0.03) * folds * 2 * pi
    height = np.sin(phase) + 0.45 * np.sin(phase * 1.63 + 2) + (0 if curtain else 0.35 * canvas.noise(2.2))
    glossy = not curtain and canvas.chance(0.6)
    depth = (0.4 if glossy else 0.3) * (1 - 0.35 * float(tone.mean()))
    light = 0.95 + depth * height + (0.5 if glossy else 0.1) * np.clip(height - 0.7, 0, 1)
    if curtain:
        nouns = (
            "curtain",
            "curtains",
            "curtain with folds",
            "drapes",
            "theatre curtain",
            "hanging cloth",
            "fabric backdrop",
        )
    elif glossy:
        nouns = (
            "silk fabric",
            "satin cloth",
            "silk",
            "satin folds",
            "shiny draped fabric",
            "silky cloth",
            "satin fabric",
        )
    else:
        nouns = (
            "draped fabric",
            "cloth",
            "fabric folds",
            "velvet drapery",
            "crumpled fabric",
            "linen cloth",
            "textile",
        )
    details = (canvas.pick(("with soft folds", "with folds", "draped in waves", "in soft light")),)
    picture = true_to(lit(tone, light), tone)
    return Drawn(picture, f"{says} {canvas.pick(nouns)}", details[: canvas.count(0, 2)], (0.3, 1.8))


# How the wood is called, its colour, and the palette's name for it where there is one.
WOODS: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("", (0.6, 0.4, 0.22)),
    ("brown", (0.45, 0.28, 0.16)),
    ("dark", (0.26, 0.16, 0.1)),
    ("light", (0.82, 0.66, 0.46)),
    ("rustic", (0.48, 0.33, 0.2)),
    ("weathered", (0.52, 0.48, 0.42)),
    ("white", (0.96, 0.95, 0.94)),
    ("grey", (0.52, 0.51, 0.5)),
    ("oak", (0.7, 0.52, 0.32)),
    ("walnut", (0.36, 0.22, 0.14)),
    ("black", (0.09, 0.085, 0.08)),
    ("teal painted", (0.1, 0.45, 0.46)),
    ("blue painted", (0.2, 0.4, 0.78)),
)


def planks(canvas: Canvas, tone: Picture, number: float, seam: float = 0.05) -> Picture:
    """Boards that run down the picture, `number` to the short side; their seams take `seam` of a board."""
    place = np.broadcast_to(canvas.x * (canvas.width / canvas.short) * number + canvas.between(0, 1), (1, canvas.width))
    board = place.astype(np.intp)
    within = np.abs(place - board - 0.5)
    shade = canvas.rng.uniform(-0.2, 0.2, int(board.max()) + 1).astype(np.float32)[board]
    grain = 0.09 * canvas.noise(1.3, 5, 0.35) + 0.05 * canvas.noise(2.0, 2, 0.5)
    face = 1 + shade + grain - 0.12 * smoothstep(0.3, 0.5, within)
    gap = smoothstep(0.5 - seam * 1.6, 0.5 - seam * 0.6, within)
    return np.clip(tone * face[..., None] * (1 - 0.72 * gap[..., None]), 0, 1)


def woodwall(canvas: Canvas) -> Drawn:
    """A wall or a deck of wooden boards, upright or lying."""
    word, rgb = canvas.pick(WOODS)
    lying = canvas.chance(0.5)
    turned = Canvas(canvas.rng, canvas.width, canvas.height) if lying else canvas
    picture = planks(turned, canvas.vary(rgb, 0.04), canvas.between(2.8, 6.2), canvas.between(0.04, 0.075))
    if lying:
        picture = np.ascontiguousarray(picture.transpose(1, 0, 2))
    picture = canvas.vignette(
        picture * (1 + canvas.between(-0.25, 0.25) * canvas.along(0.0))[..., None], canvas.between(0, 0.4)
    )
    nouns = (
        "wooden wall", "wood planks", "wooden planks background", "wooden boards", "wood wall", "wood background",
        "plank wall", "wood panelling", "timber wall", "wood paneling", "wooden background",
    )  # fmt: skip
    way = (
        ("with horizontal planks", "with horizontal boards")
        if lying
        else ("with vertical planks", "with upright boards")
    )
    details = (canvas.pick(way),) if canvas.chance(0.4) else ()
    return Drawn(picture, f"{word} {canvas.pick(nouns)}".strip(), details, (0.2, 1.2))


def greenery(canvas: Canvas) -> Drawn:
    """Blurred leaves in the sun, for behind a table."""
    base = canvas.vary(canvas.pick(((0.25, 0.45, 0.15), (0.12, 0.3, 0.12), (0.45, 0.6, 0.3))))
    picture = base * (1 + 0.35 * canvas.noise(1.7))[..., None]
    canvas.discs(picture, canvas.count(10, 35), (5, 13), ((0.7, 0.85, 0.4), (0.9, 0.95, 0.7)), opacity=(0.15, 0.45))
    return Drawn(picture, canvas.pick(("garden", "green leaves", "green bokeh", "green plants")))


def woodtable(canvas: Canvas) -> Drawn:
    """A wooden table top in perspective, something out of focus behind it."""
    word, rgb = canvas.pick(WOODS)
    behind: Callable[[Canvas], Drawn] = canvas.pick(
        (livingroom, kitchen, cafe, citynight, library, office, bokeh, bokeh, studio, gradient, greenery, greenery)
    )
    back = behind(canvas)
    picture = blur(np.clip(back.picture, 0, 1.3), canvas.between(2.5, 5))
    edge = canvas.between(0.5, 0.74)
    side = 192
    boards = planks(Canvas(canvas.rng, side, side), canvas.vary(rgb, 0.04), canvas.count(7, 11), 0.06)
    depth = np.clip((canvas.y - edge) / (1 - edge), 0, 1)
    across = (canvas.x - 0.5) * (canvas.width / canvas.short) / (0.55 + depth)
    away = np.broadcast_to(1.3 / (depth + 0.6), across.shape)
    # Boards that run towards us, or across: then only three or four can be told apart.
    u, v = (across * 0.6, away) if canvas.chance(0.6) else (away * 0.42, across * 0.5)
    top = (
        boards[(v * side).astype(np.intp) % side, (u * side).astype(np.intp) % side] * (0.82 + 0.25 * depth)[..., None]
    )
    row = picture[int(edge * canvas.height) - 1].mean(0)
    top = top + smoothstep(0.5, 0, depth)[..., None] * row * 0.22
    picture = mix(picture, top, np.broadcast_to(smoothstep(edge - 0.008, edge + 0.008, canvas.y), across.shape))
    nouns = (
        "wooden table top", "wooden table", "wood tabletop", "empty wooden table", "wood table", "wooden tabletop",
        "wooden desk", "wooden counter", "table made of wood", "wooden surface",
    )  # fmt: skip
    says = ("with blurred background", f"with {back.subject} behind", f"in front of {back.subject}",
            f"with blurred {back.subject} in the background")  # fmt: skip
    details = (canvas.pick(says),) if canvas.chance(0.75) else ()
    return Drawn(picture, f"{word} {canvas.pick(nouns)}".strip(), details, (0.2, 1.0))


# What the wall is called, the bricks, the mortar, and the palette's name.
BRICKS: tuple[tuple[str, tuple[float, float, float], tuple[float, float, float]], ...] = (
    ("red", (0.62, 0.2, 0.14), (0.76, 0.72, 0.66)),
    ("red", (0.58, 0.18, 0.13), (0.3, 0.25, 0.23)),
    ("", (0.6, 0.27, 0.18), (0.76, 0.72, 0.66)),
    ("old", (0.56, 0.32, 0.23), (0.72, 0.68, 0.6)),
    ("white", (0.92, 0.91, 0.89), (0.66, 0.65, 0.63)),
    ("white", (0.93, 0.92, 0.9), (0.72, 0.71, 0.69)),
    ("grey", (0.48, 0.48, 0.49), (0.72, 0.72, 0.72)),
    ("dark grey", (0.24, 0.24, 0.25), (0.45, 0.45, 0.45)),
    ("brown", (0.4, 0.25, 0.17), (0.62, 0.57, 0.5)),
    ("black", (0.08, 0.08, 0.085), (0.27, 0.27, 0.27)),
    ("beige", (0.83, 0.74, 0.6), (0.62, 0.54, 0.43)),
    ("orange", (0.82, 0.42, 0.18), (0.82, 0.78, 0.7)),
)


def brick(canvas: Canvas) -> Drawn:
    """A brick wall, five to nine courses over the short side."""
    word, rgb, mortar = canvas.pick(BRICKS)
    shape = canvas.between(2.0, 2.7)
    rows = canvas.y * (canvas.height / canvas.short) * canvas.between(5, 9) + canvas.between(0, 1)
    rate = float(rows[1, 0] - rows[0, 0]) * canvas.height
    course = rows.astype(np.intp)
    columns = canvas.x * canvas.width * (rate / canvas.height / shape) + 0.5 * (course % 2) + canvas.between(0, 1)
    stone = columns.astype(np.intp)
    tones = canvas.rng.normal(0, 0.13 if float(np.mean(rgb)) < 0.8 else 0.05, (64, 64)).astype(np.float32)
    fy, fx = rows - course, columns - stone
    inside = np.minimum(np.minimum(fy, 1 - fy), np.minimum(fx, 1 - fx) * shape)
    face = 1 + tones[course % 64, stone % 64] + 0.06 * canvas.noise(1.1) - 0.14 * smoothstep(0.6, 1, fy)
    picture = mix(canvas.vary(mortar, 0.02), canvas.vary(rgb, 0.02) * face[..., None], smoothstep(0.05, 0.14, inside))
    details: tuple[str, ...] = ()
    if canvas.chance(0.4):
        picture = picture * (1.05 - 0.55 * smoothstep(0.1, 1.0, canvas.distance(canvas.between(0, 1), 0.2)))[..., None]
        details = (
            (canvas.pick(("in low light", "with a pool of light", "lit by a lamp")),) if canvas.chance(0.4) else ()
        )
    nouns = (
        "brick wall", "brick wall", "bricks", "brick background", "brick wall background", "wall of bricks",
        "brickwork", "brick backdrop", "loft brick wall",
    )  # fmt: skip
    return Drawn(
        canvas.vignette(picture, canvas.between(0, 0.4)),
        f"{word} {canvas.pick(nouns)}".strip(),
        details,
        (0.1, 0.9),
    )


# What the marble is called, its ground, its veins, and the palette's name.
MARBLES: tuple[tuple[str, tuple[float, float, float], tuple[float, float, float]], ...] = (
    ("white", (0.95, 0.95, 0.95), (0.42, 0.43, 0.47)),
    ("white", (0.96, 0.95, 0.93), (0.62, 0.52, 0.38)),
    ("black", (0.04, 0.04, 0.05), (0.82, 0.8, 0.76)),
    ("black", (0.05, 0.05, 0.05), (0.8, 0.62, 0.25)),
    ("green", (0.1, 0.36, 0.24), (0.75, 0.86, 0.78)),
    ("dark green", (0.05, 0.22, 0.14), (0.62, 0.74, 0.66)),
    ("pink", (0.94, 0.7, 0.72), (0.99, 0.95, 0.94)),
    ("grey", (0.52, 0.53, 0.55), (0.9, 0.9, 0.91)),
    ("beige", (0.86, 0.78, 0.66), (0.6, 0.46, 0.32)),
    ("brown", (0.36, 0.23, 0.15), (0.84, 0.72, 0.58)),
    ("blue", (0.16, 0.3, 0.58), (0.88, 0.91, 0.95)),
)


def marble(canvas: Canvas) -> Drawn:
    """Polished marble with a few bold veins."""
    word, rgb, vein = canvas.pick(MARBLES)
    angle = canvas.between(0, pi)
    picture = canvas.vary(rgb, 0.012) * (1 + 0.035 * canvas.noise(1.9))[..., None]
    clouds = smoothstep(0.2, 2.2, canvas.noise(1.9))
    veins = 0.2 * clouds
    for strength, every in ((0.95, canvas.between(0.5, 0.9)), (0.55, canvas.between(0.3, 0.6))):
        way = canvas.along(angle + canvas.between(-0.3, 0.3)) / every + 0.32 * canvas.noise(2.25) + canvas.between(0, 1)
        apart = np.abs(way - np.round(way)) * every
        width = canvas.between(0.016, 0.032) * np.exp(0.5 * canvas.noise(2.0))
        present = 0.25 + 0.75 * smoothstep(-0.9, 0.5, canvas.noise(2.0))
        veins = veins + strength * present * (
            0.75 * np.exp(-((apart / width) ** 2)) + 0.3 * np.exp(-apart / (3 * width))
        )
    picture = mix(picture, canvas.vary(vein, 0.03), np.clip(veins, 0, 0.92))
    nouns = (
        "marble", "marble surface", "marble texture", "marble background", "marble slab", "marble wall", "marble stone",
        "polished marble", "marble backdrop",
    )  # fmt: skip
    gold = vein == (0.8, 0.62, 0.25)
    details = ("with gold veins",) if gold else (canvas.pick(("with bold veins", "with veins", "veined")),)
    return Drawn(picture, f"{word} {canvas.pick(nouns)}", details[: canvas.count(0, 2)], (0.2, 1.0))


CONCRETES: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("grey", (0.54, 0.54, 0.53)),
    ("grey", (0.5, 0.5, 0.5)),
    ("raw", (0.58, 0.57, 0.55)),
    ("dark", (0.27, 0.27, 0.28)),
    ("light grey", (0.75, 0.75, 0.73)),
    ("", (0.6, 0.59, 0.57)),
    ("beige", (0.82, 0.75, 0.64)),
)


def concrete(canvas: Canvas) -> Drawn:
    """A concrete or plaster wall: stained patches, sometimes panels with joints and tie holes."""
    word, rgb = canvas.pick(CONCRETES)
    patches = canvas.between(0.06, 0.13) * canvas.noise(1.3, lowest=1.5) + 0.05 * canvas.noise(2.0)
    light = 1 + patches + canvas.between(-0.3, 0.3) * canvas.along(canvas.between(0, pi))
    details: list[str] = []
    if canvas.chance(0.3):
        light = light * (
            1 - canvas.between(0.08, 0.18) * smoothstep(0.3, 1.6, canvas.noise(1.5, 3, 0.4)) * (1 - 0.6 * canvas.y)
        )
        details.append(canvas.pick(("with stains", "weathered", "with water stains")))
    panels = canvas.chance(0.4)
    if panels:
        size = canvas.between(0.45, 0.85)
        u = canvas.x * canvas.width / canvas.short / size + canvas.between(0, 1)
        v = canvas.y * canvas.height / canvas.short / (size * canvas.pick((0.6, 1.0, 1.4))) + canvas.between(0, 1)
        shade = canvas.rng.uniform(-0.08, 0.08, (16, 16)).astype(np.float32)
        light = light * (1 + shade[v.astype(np.intp) % 16, u.astype(np.intp) % 16])
        joint = np.minimum(np.abs(u - np.round(u)), np.abs(v - np.round(v))) * size
        light = light * (1 - 0.5 * smoothstep(0.02, 0.008, joint))
        holes = np.hypot(np.abs(u % 1 - 0.5) - 0.28, np.abs(v % 1 - 0.5) - 0.28) * size
        light = light * (1 - 0.45 * smoothstep(0.03, 0.018, holes))
        details.append(canvas.pick(("with panels", "with joints", "made of slabs", "with large panels")))
    nouns: tuple[str, ...] = ("concrete wall", "concrete", "cement wall", "concrete background", "concrete surface",
                              "bare concrete wall",
                              "industrial concrete wall")  # fmt: skip
    if not panels:
        nouns += ("concrete texture", "plaster wall", "stucco wall", "stone wall", "rough wall")
    picture = canvas.vignette(lit(canvas.vary(rgb, 0.03), light), canvas.between(0, 0.4))
    return Drawn(picture, f"{word} {canvas.pick(nouns)}".strip(), tuple(details[: canvas.count(0, 3)]), (0.2, 1.4))


# How the lights are called, their colours, and the palette's name.
GLOWS: tuple[tuple[str, tuple[tuple[float, float, float], ...], str | None], ...] = (
    ("gold", ((1, 0.75, 0.3), (0.95, 0.6, 0.2), (1, 0.85, 0.5)), "gold"),
    ("warm", ((1, 0.7, 0.35), (1, 0.8, 0.5), (1, 0.6, 0.25)), None),
    ("blue", ((0.15, 0.4, 1), (0.3, 0.6, 1), (0.2, 0.5, 0.9)), "blue"),
    ("pink", ((1, 0.45, 0.65), (1, 0.65, 0.8)), "pink"),
    ("purple", ((0.55, 0.2, 0.85), (0.7, 0.4, 1)), "purple"),
    ("green", ((0.25, 0.8, 0.35), (0.45, 0.9, 0.4)), "green"),
    ("red", ((1, 0.15, 0.12), (0.95, 0.3, 0.2)), "red"),
    ("orange", ((1, 0.5, 0.1), (1, 0.62, 0.2)), "orange"),
    ("turquoise", ((0.1, 0.8, 0.8), (0.35, 0.95, 0.9)), "turquoise"),
    ("yellow", ((1, 0.85, 0.2), (1, 0.92, 0.4)), "yellow"),
    ("white", ((1, 1, 1), (0.9, 0.92, 1)), "white"),
    ("christmas", ((1, 0.15, 0.12), (0.15, 0.8, 0.3), (1, 0.8, 0.3)), None),
    ("colorful", ((1, 0.25, 0.25), (0.25, 0.55, 1), (1, 0.8, 0.2), (0.4, 1, 0.45), (0.9, 0.35, 1)), None),
    ("pink and blue", ((1, 0.4, 0.7), (0.2, 0.5, 1)), None),
    ("gold and blue", ((1, 0.75, 0.3), (0.2, 0.45, 1)), None),
)


def bokeh(canvas: Canvas) -> Drawn:
    """Points of light far out of focus: clear discs with a rim, on dark or on a mid tone of their colour."""
    word, tones, name = canvas.pick(GLOWS)
    mid = canvas.chance(0.3) and word not in ("white", "christmas", "colorful")
    base = canvas.vary(colour(*canvas.pick(tones)) * canvas.between(*((0.3, 0.5) if mid else (0.04, 0.2))))
    picture = canvas.fill(base) * (1 + 0.35 * canvas.noise(2.2))[..., None]
    picture = picture * (1 + canvas.between(-0.6, 0.6) * canvas.along(canvas.between(0, pi)))[..., None]
    big = canvas.pick((9.0, 12.0, 16.0))
    top, bottom = canvas.pick(((0.0, 1.0), (0.0, 1.0), (0.0, 0.65), (0.3, 1.0)))
    canvas.discs(
        picture,
        canvas.count(8, 22),
        (big * 0.6, big * 1.3),
        tones,
        top=top,
        bottom=bottom,
        opacity=(0.08, 0.25),
        rim=0.1,
    )
    picture = blur(picture, canvas.between(1, 3))
    number = int(canvas.between(9, 26) * (12 / big))
    canvas.discs(picture, number, (big * 0.5, big), tones, top=top, bottom=bottom, opacity=(0.45, 1.0), rim=0.5)
    nouns = (
        "bokeh lights", "bokeh", "lights", "bokeh background", "glitter lights", "blurred lights", "light circles",
        "defocused lights", "fairy lights", "out of focus lights", "sparkling lights", "bokeh backdrop",
    )  # fmt: skip
    dark = ("on a dark background", "in the dark", "on black")
    details = (canvas.pick(dark),) if not mid and canvas.chance(0.25) else ()
    noun = canvas.pick(nouns)
    subject = f"{spoken(canvas, name) if name and canvas.chance(0.5) else word} {noun}"
    return Drawn(picture, f"abstract {subject}" if canvas.chance(0.1) else subject, details, (0.1, 0.9))


SCENES: tuple[tuple[str, Callable[[Canvas], Drawn], float], ...] = (
    ("studio", studio, 2.0),
    ("gradient", gradient, 1.0),
    ("fabric", fabric, 1.0),
    ("woodwall", woodwall, 1.0),
    ("woodtable", woodtable, 1.0),
    ("brick", brick, 1.0),
    ("marble", marble, 1.0),
    ("concrete", concrete, 1.0),
    ("bokeh", bokeh, 1.0),
)
