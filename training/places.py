"""Backdrops that people have built: the city by day and by night, neon, rooms, a stage."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import numpy as np
from numpy.typing import ArrayLike

from training.canvas import Canvas, Drawn, Picture, blur, colour, mix, smoothstep
from training.palette import LIGHTS, Rgb

WARM: tuple[Rgb, ...] = ((1, 0.65, 0.25), (1, 0.8, 0.5), (1, 0.52, 0.2), (1, 0.9, 0.75))
COOL: tuple[Rgb, ...] = ((0.3, 0.6, 1), (0.5, 0.8, 1), (0.2, 0.9, 0.8))
RED: tuple[Rgb, ...] = ((1, 0.15, 0.12), (1, 0.3, 0.45))
LEAVES: tuple[Rgb, ...] = ((0.16, 0.34, 0.15), (0.26, 0.46, 0.2), (0.1, 0.25, 0.12))


def hour(canvas: Canvas, *names: str) -> tuple[str, tuple[str, ...]]:
    """One of the hours, and a phrase that says so (or none)."""
    name = canvas.pick(names)
    phrase = canvas.pick(LIGHTS[name].phrases)
    return name, (phrase,) if phrase else ()


def backsky(canvas: Canvas, name: str, horizon: float) -> Picture:
    """A simple sky down to `horizon`, with the sun's glow or soft clouds where they belong."""
    light = LIGHTS[name]
    height = np.clip(canvas.y / horizon, 0, 1)
    down = np.broadcast_to(height, (canvas.height, canvas.width))
    picture = mix(canvas.vary(light.top), canvas.vary(light.horizon), down ** canvas.between(0.8, 1.5))
    if light.middle is not None:
        picture = mix(picture, canvas.vary(light.middle), 0.8 * np.exp(-(((down - 0.55) / 0.25) ** 2)))
        sun = canvas.distance(canvas.between(0.1, 0.9), horizon * canvas.between(0.7, 1))
        picture = picture + colour(0.5, 0.33, 0.15) * np.exp(-sun / canvas.between(0.12, 0.3))[..., None]
    elif name in ("day", "overcast", "dusk") and canvas.chance(0.6):
        clouds = smoothstep(canvas.between(0, 0.5), 1.7, canvas.noise(1.9, 1, 2.2, 2)) * (1 - 0.5 * down)
        picture = mix(picture, {"day": (1, 1, 1), "dusk": (0.4, 0.33, 0.46)}.get(name, (0.68, 0.7, 0.73)), 0.8 * clouds)
    return picture


def windows(
    canvas: Canvas, picture: Picture, box: tuple[float, float, float, float], rgb: ArrayLike, share: float
) -> None:
    """Fills `share` of a coarse grid of windows in a box (left, top, right, bottom) of the picture."""
    left, top, right, bottom = box
    step_x = canvas.between(0.045, 0.075) * canvas.short / canvas.width
    step_y = canvas.between(0.05, 0.085) * canvas.short / canvas.height
    across = max(1, int((right - left) / step_x))
    step_x = (right - left) / across
    for row in range(int((bottom - top) / step_y)):
        for column in range(across):
            if canvas.chance(share):
                x, y = left + (column + 0.22) * step_x, top + (row + 0.25) * step_y
                canvas.box(picture, x, y, x + 0.6 * step_x, y + 0.6 * step_y, canvas.vary(rgb, 0.08))


def mirrored(canvas: Canvas, picture: Picture, line: float, strength: float, soft: float) -> Picture:
    """What is above `line` reflected below it, blurred downwards: wet asphalt, water, a polished floor."""
    row = int(line * canvas.height)
    rows = np.clip(2 * row - 1 - np.arange(row, canvas.height), 0, row - 1)
    picture[row:] = blur(picture[rows], soft) * strength
    return picture


def citynight(canvas: Canvas) -> Drawn:
    """City lights out of focus: discs over dark houses with lit windows, now and then above wet asphalt."""
    low = canvas.pick(((0.1, 0.08, 0.14), (0.14, 0.09, 0.05), (0.05, 0.08, 0.17), (0.05, 0.05, 0.06)))
    top = canvas.pick(((0.02, 0.03, 0.08), (0.05, 0.03, 0.08), (0.02, 0.02, 0.03)))
    picture = mix(canvas.vary(top), canvas.vary(low), np.broadcast_to(canvas.y, (canvas.height, canvas.width)))
    foot = canvas.between(0.66, 0.85)
    if canvas.chance(0.7):
        x = canvas.between(-0.1, 0.0)
        while x < 1:
            wide, roof = canvas.between(0.12, 0.28), canvas.between(0.05, 0.5)
            canvas.box(picture, x, roof, x + wide, foot, canvas.vary(low, 0.1) * canvas.between(0.7, 2.2))
            glow = colour(*canvas.pick(WARM)) * canvas.between(0.4, 0.8)
            windows(canvas, picture, (x, roof + 0.03, x + wide, foot), glow, canvas.between(0.1, 0.4))
            x += wide * canvas.between(0.9, 1.25)
    picture = blur(picture, canvas.between(1.5, 3.5))
    tones = WARM * 2 + (COOL if canvas.chance(0.6) else ()) + (RED if canvas.chance(0.6) else ())
    big = canvas.pick((6.0, 9.0, 13.0))
    upper = canvas.between(0.1, 0.5)
    number = int(canvas.between(16, 40) * 7 / big)
    canvas.discs(picture, number, (big * 0.35, big), tones, top=upper, bottom=foot, opacity=(0.3, 0.95), rim=0.4)
    details: list[str] = []
    if canvas.chance(0.4):
        picture = mirrored(canvas, picture, foot, 0.6, 4)
        details.append(canvas.pick(("with reflections", "with wet asphalt", "after rain", "reflected on the ground")))
    if big > 8:
        details.append(canvas.pick(("with bokeh", "with big bokeh", "out of focus")))
    nouns = (
        "city lights at night", "night city lights", "city at night", "blurred city lights", "city night bokeh",
        "street lights at night", "downtown at night", "night street", "urban night lights",
        "lights of the city at night",
        "nightlife in the city", "big city at night", "night traffic lights", "evening city lights",
    )  # fmt: skip
    return Drawn(picture, canvas.pick(nouns), tuple(details[: canvas.count(0, 3)]), (0.1, 1.2))


NEONS: dict[str, Rgb] = {
    "pink": (1, 0.15, 0.6), "blue": (0.1, 0.4, 1), "purple": (0.6, 0.15, 1), "green": (0.1, 1, 0.35),
    "cyan": (0.1, 0.9, 1), "red": (1, 0.08, 0.12), "orange": (1, 0.45, 0.05),
}  # fmt: skip


def tube(canvas: Canvas, kind: str) -> Picture:
    """The distance (H, W), in short sides, from a neon tube: a ring, a frame or a straight one."""
    cx, cy = canvas.between(0.15, 0.85), canvas.between(0.1, 0.6)
    if kind == "ring":
        centre = canvas.distance(canvas.between(0.35, 0.65), canvas.between(0.35, 0.5))
        return np.asarray(np.abs(centre - canvas.between(0.2, 0.36)), np.float32)
    if kind == "frame":
        half = canvas.between(0.25, 0.4), canvas.between(0.2, 0.36)
        dx, dy = np.abs(canvas.along(0, 0.5, 0.45)) - half[0], np.abs(canvas.along(pi / 2, 0.5, 0.45)) - half[1]
        outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
        return np.asarray(np.abs(outside + np.minimum(np.maximum(dx, dy), 0)), np.float32)
    angle = {"upright": 0.0, "level": pi / 2}.get(kind, canvas.between(0.4, 1.2))
    beyond = np.maximum(0, np.abs(canvas.along(angle + pi / 2, cx, cy)) - canvas.between(0.25, 0.6))
    return np.asarray(np.hypot(canvas.along(angle, cx, cy), beyond), np.float32)


def neon(canvas: Canvas) -> Drawn:
    """Glowing neon tubes in one or two colours on a dark wall, sometimes over a wet floor."""
    names = list(canvas.rng.permutation(list(NEONS))[: 1 + int(canvas.chance(0.5))])
    picture = canvas.fill(canvas.vary((0.04, 0.025, 0.07))) * (1 + 0.3 * canvas.noise(1.6))[..., None]
    kind = canvas.pick(("ring", "frame", "upright", "upright", "level", "slanted"))
    number = {"ring": 2, "frame": 2}.get(kind, canvas.count(2, 6))
    for index in range(max(number, len(names))):
        tone = colour(*NEONS[names[index % len(names)]])
        away = tube(canvas, kind if index == 0 or kind not in ("ring", "frame") else "upright")
        core = np.exp(-((away / canvas.between(0.014, 0.024)) ** 2))[..., None]
        glow = np.exp(-away / canvas.between(0.08, 0.18))[..., None]
        picture = picture + core * (tone * 0.6 + 0.45) + glow * tone * canvas.between(0.35, 0.6)
    says = " and ".join(names)
    details: list[str] = []
    if canvas.chance(0.5):
        picture = mirrored(canvas, np.clip(picture, 0, 1.1), canvas.between(0.68, 0.8), 0.55, 3.5)
        details.append(
            canvas.pick(("with reflections", "with a wet floor", "reflected on the floor", "with a shiny floor"))
        )
    if kind in ("ring", "frame"):
        details.append({"ring": "with a glowing ring", "frame": "with a glowing frame"}[kind])
    nouns = (
        f"{says} neon lights", f"{says} neon", f"neon {says} glow", f"cyberpunk {says} neon lights",
        f"night club with {says} neon", f"{says} neon tubes", f"{says} neon glow", f"dark room with {says} neon light",
        f"{says} neon sign lights", f"synthwave {says} neon", f"{says} led lights",
    )  # fmt: skip
    return Drawn(picture, canvas.pick(nouns), tuple(details[: canvas.count(0, 3)]), (0.3, 1.8))


def street(canvas: Canvas) -> Drawn:
    """A street between houses in one-point perspective, by day or with its lamps lit."""
    when, details = hour(canvas, "day", "day", "sunset", "sunrise", "overcast", "dusk", "night")
    tint, dark = colour(*LIGHTS[when].tint), when in ("dusk", "night")
    far, eye = canvas.between(0.32, 0.68), canvas.between(0.5, 0.66)
    picture = backsky(canvas, when, eye)
    haze = picture[int(eye * canvas.height) - 2].mean(0)
    aspect = canvas.width / canvas.short
    y, x = (canvas.y - eye) * (canvas.height / canvas.short), (canvas.x - far) * aspect
    road = canvas.vary(canvas.pick(((0.4, 0.4, 0.42), (0.52, 0.49, 0.45), (0.3, 0.3, 0.33)))) * tint
    ground = road * (1 + 0.07 * canvas.noise(1.4))[..., None]
    picture = mix(picture, ground, np.broadcast_to(y > 0, (canvas.height, canvas.width)))
    half = canvas.between(0.16, 0.26)  # of the street, where the houses begin, at distance 1
    walls = (
        (0.72, 0.6, 0.45),
        (0.55, 0.52, 0.5),
        (0.62, 0.34, 0.26),
        (0.84, 0.79, 0.71),
        (0.75, 0.5, 0.4),
        (0.45, 0.5, 0.55),
    )
    for side in (-1, 1):
        out = np.maximum(x * side, 1e-3)
        depth = half / out  # 1 / nearness along the row of houses
        house = np.clip(np.log2(np.maximum(depth, 0.05)) * 1.3 + 6, 0, 15).astype(np.intp)
        roofs = canvas.rng.uniform(0.5, 1.15, 16).astype(np.float32)[house]
        tones = (
            np.stack([canvas.vary(canvas.pick(walls)) for _ in range(16)])[house[0]] * tint * (0.82 if side > 0 else 1)
        )
        up = -y / out * half  # height over the eye, in units of the house's own scale
        wall = (up < roofs * 0.75) & (y < out * 0.45) & (out > 0.05)
        grid = (np.abs((up * 5.5) % 1 - 0.5) < 0.27) & (np.abs((np.log2(depth) * 4) % 1 - 0.5) < 0.26) & (up > -0.02)
        lamps = (
            canvas.rng.random((64, 64))[(up * 5.5).astype(np.intp) % 64, (np.log2(depth) * 4).astype(np.intp) % 64]
            < 0.45
        )
        glass = np.where(lamps[..., None] & dark, colour(1, 0.78, 0.42), tones * 0.5)
        front = mix(np.broadcast_to(tones, picture.shape), glass, 0.85 * grid * smoothstep(0.06, 0.16, out))
        picture = mix(picture, mix(front, haze, np.exp(-out * 7) * 0.8), wall.astype(np.float32))
        pave = (y >= out * 0.45) & (y < out * 0.75) & (y > 0)
        picture = mix(picture, mix(ground, colour(0.72, 0.7, 0.67) * tint, 0.55), pave.astype(np.float32))
    extra: list[str] = []
    if canvas.chance(0.35) and not dark:
        leaves = [colour(*leaf) * tint for leaf in LEAVES]
        trees = picture.copy()
        canvas.discs(
            trees, 55, (5, 12), leaves, top=eye - 0.3, bottom=eye - 0.02, opacity=(0.6, 0.9), rim=0, light=False
        )
        beside = np.broadcast_to(smoothstep(0.1, 0.2, np.abs(x)), (canvas.height, canvas.width))
        picture = mix(picture, trees, beside)  # along the houses, not over the roadway
        extra.append(canvas.pick(("with trees", "lined with trees", "with green trees")))
    if dark or canvas.chance(0.15):
        canvas.discs(
            picture,
            canvas.count(8, 22),
            (3, 8),
            WARM + RED,
            top=eye - 0.25,
            bottom=eye + 0.08,
            opacity=(0.3, 0.8),
            rim=0.4,
        )
        extra.append(canvas.pick(("with street lights", "with lights", "with lit lamps")))
    nouns = (
        "city street", "street with buildings", "urban street", "old town street", "downtown street", "street",
        "town street", "road between houses", "street in the city", "alley in the old town", "avenue", "city road",
    )  # fmt: skip
    return Drawn(picture, canvas.pick(nouns), (details + tuple(extra))[: canvas.count(1, 4)], (0.6, 2.6))


def skyline(canvas: Canvas) -> Drawn:
    """Skyscrapers in layers against the sky, over a river, a park or roofs."""
    when, details = hour(canvas, "day", "day", "sunset", "sunrise", "overcast", "dusk", "night")
    tint, dark = colour(*LIGHTS[when].tint), when in ("dusk", "night")
    foot = canvas.between(0.62, 0.84)
    picture = backsky(canvas, when, foot)
    haze = picture[int(foot * canvas.height) - 2].mean(0)
    peak = canvas.between(0.15, 0.85)
    for layer in (0.35, 0.7, 1.0):
        x = canvas.between(-0.12, 0)
        while x < 1:
            wide = canvas.between(0.07, 0.16) * canvas.short / canvas.width
            tall = canvas.between(0.12, 0.5) * (1.15 - 0.5 * layer) * (0.55 + np.exp(-(((x - peak) / 0.3) ** 2)))
            tone = mix(
                haze,
                canvas.vary(canvas.pick(((0.35, 0.4, 0.48), (0.5, 0.47, 0.45), (0.25, 0.3, 0.38)))) * tint,
                0.35 + 0.6 * layer,
            )
            roof = max(0.06, foot - tall)
            canvas.box(picture, x, roof, x + wide, foot, tone)
            canvas.box(picture, x, roof, x + wide * 0.4, foot, tone * 1.15)  # the side that the sun is on
            if canvas.chance(0.25):
                canvas.box(picture, x + wide * 0.4, roof - 0.06, x + wide * 0.6, roof, tone)
            if dark or layer == 1:
                pane = colour(1, 0.8, 0.45) if dark else tone * 0.62
                windows(canvas, picture, (x, roof + 0.02, x + wide, foot), pane, canvas.between(0.3, 0.6))
            x += wide * canvas.between(0.8, 1.3)
    row, base = int(foot * canvas.height), canvas.pick(("water", "water", "park", "roofs"))
    extra: tuple[str, ...] = ()
    if base == "water":
        picture = mirrored(canvas, picture, foot, 0.75, 2.5)
        ripple = 1 + 0.1 * canvas.noise(1.3, 1, 5)
        picture[row:] = mix(picture[row:], colour(0.1, 0.25, 0.35) * tint, 0.35) * ripple[row:, :, None]
        extra = (canvas.pick(("by the river", "with water in front", "reflected in the water", "over the water")),)
    elif base == "park":
        trees = canvas.vary(canvas.pick(LEAVES)) * tint * (1 + 0.2 * canvas.noise(1.3))[..., None]
        picture = mix(picture, trees, smoothstep(-0.01, 0.01, canvas.y - foot + 0.03 * np.abs(canvas.profile(1.1))))
        extra = (canvas.pick(("behind a park", "with trees in front", "with a park")),)
    else:
        picture[row:] = canvas.vary((0.32, 0.3, 0.3)) * tint * (1 + 0.15 * canvas.noise(1.3))[row:, :, None]
    if dark:
        extra += (canvas.pick(("with lit windows", "with city lights", "illuminated")),)
    nouns = (
        "city skyline", "skyline", "skyscrapers", "city skyline view", "skyline with skyscrapers", "big city skyline",
        "high rise buildings", "downtown skyline", "metropolis", "city view", "towers of a city", "cityscape",
    )  # fmt: skip
    return Drawn(picture, canvas.pick(nouns), (details + extra)[: canvas.count(1, 4)], (0.4, 1.8))


# ---- rooms


def room(canvas: Canvas, wall: ArrayLike, floor: ArrayLike, foot: float, ceiling: float = 0.0) -> Picture:
    """A back wall lit from one side, a floor that shines towards us, and a ceiling where there is one."""
    lamp = canvas.between(0, 1)
    picture = canvas.fill(canvas.vary(wall, 0.04)) * (1.08 - 0.3 * np.abs(canvas.x - lamp) - 0.1 * canvas.y)[..., None]
    ground = (
        canvas.vary(floor, 0.04) * (0.85 + 0.35 * (canvas.y - foot) / (1 - foot) + 0.05 * canvas.noise(1.6))[..., None]
    )
    picture = mix(picture, ground, np.broadcast_to(canvas.y > foot, (canvas.height, canvas.width)))
    if ceiling:
        canvas.box(picture, 0, 0, 1, ceiling, canvas.vary((0.93, 0.93, 0.92), 0.02))
    return picture


def block(
    canvas: Canvas, picture: Picture, left: float, top: float, right: float, bottom: float, rgb: ArrayLike
) -> None:
    """A piece of furniture: a lighter upper edge, a front, and its shadow on what it stands on."""
    tone = np.asarray(rgb, np.float32)
    rows = slice(int(max(0.0, bottom) * canvas.height), int((bottom + 0.035) * canvas.height))
    columns = slice(int(max(0.0, left) * canvas.width), int(max(0.0, right) * canvas.width))
    picture[rows, columns] *= 0.6
    canvas.box(picture, left, top, right, bottom, tone * 0.86)
    canvas.box(picture, left, top, right, top + min(0.035, 0.3 * (bottom - top)), np.clip(tone * 1.2, 0, 1))


def window(canvas: Canvas, picture: Picture, left: float, top: float, right: float, bottom: float) -> None:
    """A bright window with a view too light to make out, a cross bar or two, and its glow on the wall."""
    view = canvas.pick(((0.97, 0.98, 1.0), (0.9, 0.96, 1.0), (0.9, 0.96, 0.86), (1.0, 0.95, 0.85)))
    frame = canvas.pick(((0.8, 0.8, 0.79), (0.45, 0.33, 0.24), (0.22, 0.22, 0.24)))
    canvas.box(picture, left - 0.012, top - 0.012, right + 0.012, bottom + 0.018, frame)
    canvas.box(picture, left, top, right, bottom, view)
    if canvas.chance(0.6):
        canvas.box(picture, left, top + 0.62 * (bottom - top), right, bottom, colour(*view) * colour(0.8, 0.9, 0.8))
    bars = max(1, round((right - left) * canvas.width / canvas.short / 0.22))
    for index in range(1, bars + 1):
        middle = left + (right - left) * index / (bars + 1)
        canvas.box(picture, middle - 0.009, top, middle + 0.009, bottom, frame)


def plant(canvas: Canvas, picture: Picture, x: float, foot: float, tall: float) -> None:
    """A potted plant: a pot and a crown of leaves."""
    wide = 0.05 * canvas.short / canvas.width
    block(
        canvas,
        picture,
        x - wide,
        foot - 0.12,
        x + wide,
        foot,
        canvas.pick(((0.85, 0.84, 0.8), (0.6, 0.35, 0.22), (0.3, 0.3, 0.3))),
    )
    tones = [canvas.vary(leaf) for leaf in LEAVES]
    for _ in range(14):
        cx, cy = x + canvas.between(-2.2, 2.2) * wide, foot - 0.12 - canvas.between(0.0, tall)
        away = np.hypot(
            (canvas.x - cx) / (wide * 0.9), (canvas.y - cy) * canvas.height / canvas.short / canvas.between(0.05, 0.09)
        )
        picture[:] = mix(picture, canvas.pick(tones), smoothstep(1, 0.7, away) * 0.85)


def pendants(canvas: Canvas, picture: Picture, number: int, low: float, shade: ArrayLike) -> Picture:
    """A row of lamps that hang from above, each with a glow."""
    start, step = canvas.between(0.08, 0.25), canvas.between(0.8, 1.0) / number
    reach = 0.045 * canvas.short / canvas.width
    glow = np.zeros((canvas.height, canvas.width), np.float32)
    for index in range(number):
        x = start + index * step
        canvas.box(picture, x - 0.005, 0, x + 0.005, low, np.asarray(shade, np.float32) * 0.6)
        canvas.box(picture, x - reach, low - 0.05, x + reach, low, shade)
        away = canvas.distance(x, low + 0.015)
        glow += smoothstep(0.05, 0.035, away) + 0.45 * np.exp(-away / 0.09)
    return picture + glow[..., None] * colour(0.95, 0.72, 0.4)


def livingroom(canvas: Canvas) -> Drawn:
    """A living room: sofa with cushions, and by chance window, lamp, picture, plant, rug."""
    walls: tuple[tuple[str, Rgb], ...] = (
        ("beige", (0.84, 0.77, 0.67)), ("white", (0.92, 0.91, 0.89)), ("grey", (0.62, 0.62, 0.62)),
        ("green", (0.45, 0.55, 0.45)), ("blue", (0.38, 0.48, 0.62)), ("warm", (0.8, 0.65, 0.5)),
    )  # fmt: skip
    says, wall = canvas.pick(walls)
    foot = canvas.between(0.66, 0.8)
    picture = room(
        canvas, wall, canvas.pick(((0.5, 0.36, 0.24), (0.68, 0.52, 0.36), (0.75, 0.72, 0.68), (0.35, 0.25, 0.18))), foot
    )
    details = [f"with {says} walls"]
    if canvas.chance(0.6):
        left, wide = canvas.between(0.05, 0.6), canvas.between(0.22, 0.36)
        window(canvas, picture, left, canvas.between(0.06, 0.14), left + wide, canvas.between(0.45, 0.55))
        drape = canvas.vary(canvas.pick(((0.93, 0.91, 0.87), (0.7, 0.62, 0.52), (0.5, 0.53, 0.56))))
        canvas.box(picture, left - 0.09, 0.03, left, foot, drape)
        canvas.box(picture, left + wide, 0.03, left + wide + 0.09, foot, drape * 0.9)
        details.append(canvas.pick(("with a window", "with curtains", "with a bright window")))
    else:
        for index in range(canvas.count(1, 4)):
            x = 0.1 + 0.28 * index + canvas.between(0, 0.06)
            canvas.box(
                picture, x, 0.14, x + 0.18, 0.4, canvas.pick(((0.2, 0.18, 0.17), (0.75, 0.6, 0.4), (0.96, 0.96, 0.95)))
            )
            canvas.box(picture, x + 0.025, 0.17, x + 0.155, 0.37, canvas.vary((0.6, 0.62, 0.6), 0.25))
        details.append(canvas.pick(("with pictures on the wall", "with framed art", "with wall art")))
    if canvas.chance(0.5):
        canvas.box(
            picture,
            canvas.between(0.05, 0.25),
            foot + 0.08,
            canvas.between(0.75, 0.95),
            foot + 0.2,
            canvas.vary((0.8, 0.74, 0.66), 0.1),
        )
    sofas: tuple[tuple[str, Rgb], ...] = (
        ("grey", (0.5, 0.51, 0.52)), ("beige", (0.82, 0.75, 0.64)), ("green", (0.2, 0.36, 0.27)),
        ("blue", (0.2, 0.3, 0.5)),
        ("brown", (0.45, 0.27, 0.17)), ("white", (0.92, 0.91, 0.89)), ("yellow", (0.85, 0.66, 0.2)),
    )  # fmt: skip
    named, rgb = canvas.pick(sofas)
    left, wide, tone = canvas.between(-0.1, 0.5), canvas.between(0.45, 0.65), canvas.vary(rgb, 0.03)
    base = foot + 0.07
    canvas.box(picture, left, base - 0.27, left + wide, base - 0.08, tone)
    for index in range(3):
        x = left + wide * (0.12 + 0.28 * index)
        canvas.box(
            picture,
            x,
            base - 0.25,
            x + wide * 0.2,
            base - 0.12,
            canvas.vary(canvas.pick((rgb, (0.85, 0.8, 0.7), (0.7, 0.4, 0.25))), 0.1),
        )
    block(canvas, picture, left, base - 0.13, left + wide, base, tone)
    for x in (left - 0.03, left + wide - 0.05):
        block(canvas, picture, x, base - 0.19, x + 0.08, base, tone * 0.92)
    details.append(canvas.pick((f"with a {named} sofa", f"with a {named} couch", "with a sofa")))
    side = left + wide + 0.14 if left < 0.25 else left - 0.12
    if canvas.chance(0.5):
        plant(canvas, picture, side, foot + 0.06, 0.25)
        details.append(canvas.pick(("with a plant", "with houseplants", "with a green plant")))
    elif canvas.chance(0.7):
        canvas.box(picture, side - 0.008, 0.3, side + 0.008, foot + 0.05, (0.2, 0.18, 0.16))
        away = canvas.distance(side, 0.28)
        canvas.box(picture, side - 0.07, 0.22, side + 0.07, 0.34, (1, 0.86, 0.6))
        picture = picture + colour(0.5, 0.35, 0.16) * np.exp(-away / 0.13)[..., None]
        details.append(canvas.pick(("with a floor lamp", "with warm lamp light", "with a glowing lamp")))
    nouns = (
        "living room", "cozy living room", "home interior", "apartment interior", "lounge", "living room interior",
        "modern living room", "sitting room", "cosy living room", "room at home", "blurred living room", "family room",
    )  # fmt: skip
    return finish(canvas, picture, nouns, details)


def finish(canvas: Canvas, picture: Picture, nouns: tuple[str, ...], details: list[str]) -> Drawn:
    """A room out of focus, described by up to two of the things in it."""
    order = canvas.rng.permutation(len(details))[: canvas.count(0, 3)]
    soft = blur(np.clip(picture, 0, 1.4), canvas.between(0.8, 2.2))
    return Drawn(soft, canvas.pick(nouns), tuple(details[index] for index in order), (0.3, 2.0))


def office(canvas: Canvas) -> Drawn:
    """An office: a band of windows or glass walls, ceiling lights, desks with screens, plants."""
    foot = canvas.between(0.66, 0.78)
    wall = canvas.pick(((0.86, 0.88, 0.9), (0.75, 0.78, 0.8), (0.55, 0.6, 0.66), (0.9, 0.88, 0.84)))
    picture = room(canvas, wall, canvas.pick(((0.45, 0.47, 0.5), (0.6, 0.58, 0.55), (0.35, 0.38, 0.43))), foot, 0.17)
    details: list[str] = []
    for index in range(canvas.count(2, 4)):
        x = 0.04 + 0.33 * index
        canvas.box(picture, x, 0.05, x + 0.22, 0.115, (1.15, 1.15, 1.12))
    if canvas.chance(0.65):
        left = canvas.pick((0.0, 0.02, 0.35))
        window(canvas, picture, left, 0.2, canvas.between(left + 0.5, 1.0), canvas.between(0.48, 0.58))
        details.append(canvas.pick(("with large windows", "with big windows", "with daylight from the windows")))
    else:
        for index in range(4):
            x = 0.02 + 0.25 * index
            canvas.box(picture, x, 0.2, x + 0.23, foot, canvas.vary((0.66, 0.76, 0.82), 0.08))
        details.append(canvas.pick(("with glass walls", "with glass partitions")))
    desk = canvas.vary(canvas.pick(((0.93, 0.93, 0.92), (0.7, 0.54, 0.36), (0.45, 0.32, 0.22))), 0.04)
    x = canvas.between(-0.15, 0.05)
    while x < 0.95:
        wide, base = canvas.between(0.28, 0.42), foot + canvas.between(0.06, 0.12)
        surface = base - 0.17
        canvas.box(
            picture,
            x + 0.08,
            surface - 0.15,
            x + 0.08 + 0.19,
            surface - 0.025,
            canvas.pick(((0.08, 0.09, 0.11), (0.1, 0.12, 0.16), (0.35, 0.5, 0.68))),
        )
        block(canvas, picture, x + 0.02, surface + 0.03, x + 0.06, base, desk * 0.6)
        block(canvas, picture, x + wide - 0.06, surface + 0.03, x + wide - 0.02, base, desk * 0.6)
        canvas.box(picture, x, surface, x + wide, surface + 0.045, desk)
        if canvas.chance(0.6):
            seat = x + wide * 0.5
            block(
                canvas,
                picture,
                seat - 0.055,
                surface - 0.06,
                seat + 0.055,
                base - 0.02,
                canvas.pick(((0.12, 0.12, 0.14), (0.3, 0.34, 0.4), (0.15, 0.3, 0.5))),
            )
        x += wide + canvas.between(0.06, 0.25)
    details.append(canvas.pick(("with desks", "with desks and screens", "with computers on the desks")))
    if canvas.chance(0.5):
        plant(canvas, picture, canvas.pick((0.06, 0.94)), foot + 0.06, 0.28)
        details.append(canvas.pick(("with plants", "with a potted plant")))
    nouns = (
        "office", "modern office", "office interior", "bright office", "open plan office", "blurred office",
        "workplace",
        "business office", "corporate office", "office space", "coworking space", "office background",
    )  # fmt: skip
    return finish(canvas, picture, nouns, details)


def kitchen(canvas: Canvas) -> Drawn:
    """A kitchen: cupboards above and below a worktop, an oven or fridge, a window or pendant lamps."""
    styles: tuple[tuple[str, Rgb, Rgb], ...] = (
        ("white", (0.95, 0.95, 0.93), (0.68, 0.52, 0.35)), ("white", (0.95, 0.95, 0.94), (0.35, 0.35, 0.36)),
        ("wooden", (0.62, 0.43, 0.26), (0.88, 0.87, 0.85)), ("grey", (0.52, 0.54, 0.56), (0.92, 0.92, 0.91)),
        ("blue", (0.22, 0.34, 0.5), (0.75, 0.6, 0.42)), ("green", (0.42, 0.52, 0.42), (0.75, 0.6, 0.42)),
        ("black", (0.12, 0.12, 0.13), (0.65, 0.48, 0.32)),
    )  # fmt: skip
    says, front, top = canvas.pick(styles)
    foot, bench = canvas.between(0.8, 0.9), canvas.between(0.52, 0.6)
    picture = room(
        canvas, canvas.pick(((0.9, 0.88, 0.84), (0.8, 0.82, 0.82), (0.85, 0.78, 0.68))), (0.62, 0.52, 0.42), foot
    )
    details = [f"with {says} cabinets", f"with {says} cupboards"]
    gap, open_at = canvas.between(0.14, 0.19), canvas.count(0, 6)
    seen, upper = canvas.pick(("window", "hood", "none")), canvas.between(0.28, 0.34)
    x, index = canvas.between(-0.12, 0.0), 0
    while x < 1:
        tone = canvas.vary(front, 0.03)
        if not (seen != "none" and open_at <= index <= open_at + 1):
            canvas.box(picture, x, 0.0 if upper > 0.31 else 0.06, x + gap - 0.014, upper, tone)
            canvas.box(picture, x, upper - 0.03, x + gap - 0.014, upper, tone * 0.75)
        canvas.box(picture, x, bench, x + gap, foot, tone * 0.6)
        canvas.box(picture, x, bench + 0.05, x + gap - 0.016, foot - 0.02, tone * 0.92)
        canvas.box(picture, x + 0.03, bench + 0.075, x + gap - 0.045, bench + 0.1, tone * 0.45 + 0.15)
        x, index = x + gap, index + 1
    hole = canvas.between(-0.05, 0.05) + open_at * gap
    if seen == "window":
        window(canvas, picture, hole, 0.08, hole + 2 * gap - 0.06, bench - 0.1)
        details += ["with a window"] if hole < 0.8 else []
    elif seen == "hood":
        canvas.box(picture, hole + 0.07, 0, hole + 0.17, 0.2, (0.6, 0.61, 0.63))
        canvas.box(picture, hole, 0.2, hole + 0.25, 0.27, (0.75, 0.76, 0.78))
    oven = canvas.between(0.1, 0.7)
    canvas.box(picture, oven, bench + 0.05, oven + 0.22, foot - 0.02, (0.1, 0.1, 0.11))
    canvas.box(picture, oven + 0.02, bench + 0.07, oven + 0.2, bench + 0.1, (0.7, 0.71, 0.72))
    canvas.box(picture, 0, bench, 1, bench + 0.035, canvas.vary(top, 0.03))
    for _ in range(canvas.count(3, 8)):
        place, tall = canvas.between(0, 0.95), canvas.between(0.05, 0.13)
        pot = canvas.pick(
            (
                (0.85, 0.3, 0.2),
                (0.9, 0.9, 0.88),
                (0.3, 0.45, 0.25),
                (0.75, 0.6, 0.4),
                (0.25, 0.25, 0.26),
                (0.9, 0.7, 0.2),
            )
        )
        canvas.box(picture, place, bench - tall, place + canvas.between(0.035, 0.075), bench, canvas.vary(pot, 0.08))
    if canvas.chance(0.25):
        fridge = canvas.pick((-0.02, 0.78))
        canvas.box(picture, fridge, 0.08, fridge + 0.24, foot, (0.76, 0.77, 0.79))
        canvas.box(picture, fridge, 0.38, fridge + 0.24, 0.4, (0.45, 0.46, 0.48))
        details.append(canvas.pick(("with a fridge", "with a refrigerator")))
    if canvas.chance(0.4):
        picture = pendants(canvas, picture, canvas.count(2, 4), canvas.between(0.2, 0.3), (0.2, 0.2, 0.2))
        details.append(canvas.pick(("with hanging lamps", "with pendant lights")))
    nouns = (
        "kitchen", "modern kitchen", "kitchen interior", "home kitchen", "kitchen counter",
        "blurred kitchen", "kitchen room",
        "kitchen background", "fitted kitchen", "kitchen at home",
    )  # fmt: skip
    named = (f"{says} kitchen", f"modern {says} kitchen")
    return finish(canvas, picture, named if canvas.chance(0.3) else nouns, details)


def cafe(canvas: Canvas) -> Drawn:
    """A cafe: dark walls or brick tones, a bar with bottles, hanging lamps, tables and chairs, warm lights."""
    foot = canvas.between(0.66, 0.78)
    wall = canvas.pick(
        ((0.35, 0.22, 0.14), (0.48, 0.25, 0.17), (0.2, 0.24, 0.24), (0.62, 0.52, 0.42), (0.22, 0.18, 0.17))
    )
    picture = room(canvas, wall, canvas.pick(((0.22, 0.15, 0.1), (0.4, 0.3, 0.2), (0.3, 0.29, 0.28))), foot)
    details: list[str] = []
    kind = canvas.pick(("bar", "bar", "window", "board"))
    if kind == "bar":
        start = canvas.pick((0.0, 0.3, 0.5))
        for shelf in (0.24, 0.4):
            canvas.box(picture, start, shelf, start + 0.55, shelf + 0.025, (0.55, 0.38, 0.22))
            for index in range(8):
                x = start + 0.01 + index * 0.068
                bottle = canvas.pick(
                    ((0.2, 0.4, 0.2), (0.75, 0.5, 0.2), (0.8, 0.8, 0.75), (0.45, 0.16, 0.1), (0.3, 0.45, 0.5))
                )
                canvas.box(picture, x, shelf - canvas.between(0.07, 0.12), x + 0.042, shelf, canvas.vary(bottle, 0.1))
        block(canvas, picture, start, foot - 0.16, start + 0.6, foot + 0.08, canvas.vary((0.5, 0.34, 0.2)))
        details.append(canvas.pick(("with a bar", "with bottles on the shelf", "with a counter")))
    elif kind == "window":
        left = canvas.between(0.0, 0.4)
        window(canvas, picture, left, 0.1, left + canvas.between(0.4, 0.6), foot - 0.1)
        details.append(canvas.pick(("with a window", "with a large window", "with daylight")))
    else:
        for index in range(canvas.count(1, 3)):
            x = 0.12 + 0.4 * index
            canvas.box(picture, x - 0.02, 0.13, x + 0.32, 0.44, (0.55, 0.38, 0.22))
            canvas.box(picture, x, 0.15, x + 0.3, 0.42, (0.1, 0.12, 0.11))
            for line in range(3):
                canvas.box(
                    picture,
                    x + 0.04,
                    0.19 + 0.07 * line,
                    x + canvas.between(0.15, 0.27),
                    0.215 + 0.07 * line,
                    (0.7, 0.7, 0.66),
                )
        details.append(canvas.pick(("with a menu board", "with a chalkboard", "with a blackboard menu")))
    x = canvas.between(-0.1, 0.1)
    wood = canvas.vary(canvas.pick(((0.6, 0.42, 0.24), (0.4, 0.25, 0.14), (0.75, 0.62, 0.45))), 0.04)
    while x < 1:
        base, wide = foot + canvas.between(0.06, 0.17), canvas.between(0.18, 0.28)
        block(canvas, picture, x + wide * 0.42, base - 0.15, x + wide * 0.58, base, wood * 0.4)
        canvas.box(picture, x, base - 0.18, x + wide, base - 0.14, wood)
        for seat in (x - 0.09, x + wide + 0.03):
            block(canvas, picture, seat, base - 0.23, seat + 0.06, base, wood * canvas.between(0.35, 0.7))
        x += wide + canvas.between(0.18, 0.4)
    details.append(canvas.pick(("with tables", "with tables and chairs", "with wooden tables")))
    if canvas.chance(0.7):
        picture = pendants(canvas, picture, canvas.count(2, 5), canvas.between(0.14, 0.3), (0.13, 0.11, 0.1))
        details.append(canvas.pick(("with hanging lamps", "with pendant lights", "with warm lamps")))
    if canvas.chance(0.6):
        picture = np.ascontiguousarray(blur(picture, 1))
        canvas.discs(picture, canvas.count(5, 14), (4, 10), WARM, top=0.03, bottom=0.45, opacity=(0.25, 0.7), rim=0.4)
        details.append(canvas.pick(("with warm lights", "with bokeh lights", "with warm bokeh")))
    nouns = (
        "cafe", "coffee shop", "restaurant", "cozy cafe interior", "cafe interior", "bistro",
        "coffee house", "blurred cafe",
        "restaurant interior", "bar interior" if kind == "bar" else "coffee bar", "cosy coffee shop", "diner",
    )  # fmt: skip
    return finish(canvas, picture, nouns, details)


def library(canvas: Canvas) -> Drawn:
    """Shelves full of books, in bays between uprights, sometimes with a floor and lamps."""
    wood = canvas.vary(
        canvas.pick(((0.36, 0.22, 0.12), (0.22, 0.13, 0.08), (0.6, 0.43, 0.26), (0.9, 0.89, 0.86))), 0.05
    )
    foot = canvas.between(0.8, 0.92) if canvas.chance(0.45) else 1.0
    picture = canvas.fill(wood * 0.4)
    tall = canvas.between(0.17, 0.25) * canvas.short / canvas.height
    bay, phase = canvas.between(0.4, 0.7) * canvas.short / canvas.width, canvas.between(0, 0.3)
    books: tuple[Rgb, ...] = (
        (0.55, 0.13, 0.1), (0.13, 0.23, 0.45), (0.75, 0.65, 0.45), (0.14, 0.34, 0.22), (0.87, 0.82, 0.72),
        (0.32, 0.18, 0.11), (0.8, 0.48, 0.18), (0.2, 0.2, 0.22), (0.35, 0.5, 0.6),
    )  # fmt: skip
    choice = books if canvas.chance(0.6) else tuple(books[index] for index in canvas.rng.permutation(9)[:4])
    y = foot - 0.02
    while y > 0:
        x = -0.02
        while x < 1:
            wide, high = canvas.between(0.035, 0.075) * canvas.short / canvas.width, tall * canvas.between(0.6, 0.84)
            if canvas.chance(0.9):
                tone = canvas.vary(canvas.pick(choice), 0.08)
                canvas.box(picture, x, y - high, x + wide * 0.9, y, tone)
                canvas.box(picture, x, y - high * 0.78, x + wide * 0.9, y - high * 0.64, tone * 0.7 + 0.16)
            x += wide
        canvas.box(picture, 0, y, 1, y + tall * 0.12, wood)
        y -= tall
    x = phase * bay
    while x < 1:
        canvas.box(picture, x, 0, x + 0.035 * canvas.short / canvas.width, foot, wood * 0.92)
        x += bay
    details = [
        canvas.pick(
            (
                "with shelves full of books",
                "with many books",
                "with wooden shelves" if wood.mean() < 0.6 else "with white shelves",
            )
        )
    ]
    if foot < 1:
        floor = canvas.vary((0.4, 0.28, 0.18)) * (0.8 + 0.4 * canvas.y)[..., None]
        picture = mix(picture, floor, np.broadcast_to(canvas.y > foot, (canvas.height, canvas.width)))
    lamp = canvas.distance(canvas.between(0.1, 0.9), canvas.between(-0.1, 0.5))
    picture = picture * (1.25 - 0.75 * smoothstep(0.1, 1.1, lamp))[..., None]
    if canvas.chance(0.3):
        picture = pendants(canvas, picture, canvas.count(2, 4), canvas.between(0.15, 0.25), (0.2, 0.25, 0.2))
        details.append(canvas.pick(("with hanging lamps", "with warm lamps", "with lamps")))
    nouns = (
        "library", "bookshelves", "library with books", "bookshelf", "bookcase", "shelves of books", "old library",
        "wall of books", "study with bookshelves", "blurred library", "reading room", "bookshop", "library interior",
    )  # fmt: skip
    return finish(canvas, picture, nouns, details)


BEAMS: dict[str, Rgb] = {
    "blue": (0.15, 0.4, 1), "purple": (0.6, 0.2, 1), "red": (1, 0.12, 0.12), "pink": (1, 0.3, 0.65),
        "green": (0.15, 0.9, 0.35),
    "white": (0.95, 0.95, 1), "orange": (1, 0.5, 0.12), "yellow": (1, 0.8, 0.3), "turquoise": (0.1, 0.8, 0.8),
}  # fmt: skip


def stage(canvas: Canvas) -> Drawn:
    """A dark stage: coloured beams from above in the haze, pools of light on the floor."""
    names = [str(name) for name in canvas.rng.permutation(list(BEAMS))[: 1 + int(canvas.chance(0.5))]]
    foot = canvas.between(0.72, 0.86)
    main = colour(*BEAMS[names[0]])
    haze = np.clip(0.75 + 0.25 * canvas.noise(1.9), 0.2, 1.5)
    picture = (0.03 + main * canvas.between(0.05, 0.16) * (1 - 0.4 * canvas.y[..., None])) * haze[..., None]
    picture = picture * np.where(canvas.y > foot, 0.7, 1.0)[..., None].astype(np.float32)
    number = canvas.count(3, 7)
    start, spread = canvas.between(0.05, 0.2), canvas.between(0.7, 0.9) / max(1, number - 1)
    centre, lean = (
        canvas.between(0.35, 0.65),
        canvas.pick((-0.35, 0.45, 0.85)),
    )  # apart, straight down, or all to the middle
    for index in range(number):
        tone = colour(*BEAMS[names[index % len(names)]])
        x = start + spread * index + canvas.between(-0.03, 0.03)
        aim = x + (centre - x) * lean + canvas.between(-0.08, 0.08)
        drop = np.clip(canvas.y + 0.03, 0, None)
        middle = x + (aim - x) * drop / foot
        width = (0.02 + canvas.between(0.09, 0.17) * drop) * canvas.short / canvas.width
        beam = smoothstep(1.0, 0.45, np.abs(canvas.x - middle) / width) * (canvas.y < foot) * (1 - 0.6 * canvas.y)
        pool = np.hypot(
            (canvas.x - aim) / (width[-1, 0] * 1.15), (canvas.y - foot - 0.05) * canvas.height / canvas.short / 0.07
        )
        source = canvas.distance(x, 0.015)
        bright = 0.85 * beam * haze + 0.7 * smoothstep(1, 0.5, pool) * (canvas.y > foot - 0.02)
        picture = picture + bright[..., None] * tone * canvas.between(0.6, 0.95)
        picture = picture + (smoothstep(0.05, 0.025, source) + 0.3 * np.exp(-source / 0.06))[..., None] * (
            0.5 + 0.5 * tone
        )
    says = " and ".join(names)
    details = [
        canvas.pick((f"with {says} spotlights", f"with {says} light beams", f"in {says} light", f"lit in {says}")),
        canvas.pick(("with haze", "with smoke", "with light beams in fog", "with spotlights")),
    ]
    nouns = (
        "dark stage", "concert stage", "stage with spotlights", "theatre stage", "empty stage",
        "stage lights", "show stage",
        "stage with light beams", "spotlights on a dark stage", "concert lights", "music stage", "theater stage",
        f"stage with {says} lights",
    )  # fmt: skip
    return Drawn(picture, canvas.pick(nouns), tuple(details[: canvas.count(0, 3)]), (0.3, 1.8))


SCENES: tuple[tuple[str, Callable[[Canvas], Drawn], float], ...] = (
    ("citynight", citynight, 1.0),
    ("neon", neon, 1.0),
    ("street", street, 1.0),
    ("skyline", skyline, 1.0),
    ("office", office, 1.0),
    ("livingroom", livingroom, 1.0),
    ("kitchen", kitchen, 1.0),
    ("cafe", cafe, 1.0),
    ("library", library, 1.0),
    ("stage", stage, 1.0),
)
