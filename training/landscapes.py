"""Outdoor scenes: skies, water, mountains, forests, fields and foliage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.canvas import Canvas, Drawn, Picture, blur, colour, mix, smoothstep
from training.palette import LIGHTS, SYNONYMS, Rgb

# Hours to pick from, the frequent ones several times.
HOURS = ("day",) * 5 + ("sunset",) * 4 + ("sunrise",) * 2 + ("dusk", "night", "overcast", "overcast")
BRIGHT = ("day",) * 6 + ("sunset",) * 3 + ("sunrise",) * 2 + ("dusk", "overcast", "overcast")

# What clouds look like at each hour: the side in the light, and the side in the shade.
CLOUDS: dict[str, tuple[Rgb, Rgb]] = {
    "day": ((1.0, 1.0, 1.0), (0.72, 0.78, 0.87)),
    "sunset": ((1.0, 0.66, 0.4), (0.5, 0.27, 0.36)),
    "sunrise": ((1.0, 0.88, 0.8), (0.78, 0.6, 0.68)),
    "dusk": ((0.55, 0.4, 0.52), (0.17, 0.16, 0.3)),
    "night": ((0.17, 0.21, 0.32), (0.04, 0.06, 0.12)),
    "overcast": ((0.8, 0.82, 0.85), (0.53, 0.56, 0.61)),
}
CLOUD_WORDS = (
    "with clouds",
    "with a few clouds",
    "with scattered clouds",
    "under a cloudy sky",
    "with drifting clouds",
)
WHITE_CLOUD_WORDS = ("with white clouds", "with fluffy clouds", "with fluffy white clouds", *CLOUD_WORDS)
# Phrases that promise a clear sky, a sun in the picture, a moon, or fog.
CLEAR = ("under a blue sky", "on a clear day", "in bright sunshine")
LOW_SUN = ("as the sun goes down", "with the setting sun", "sunrise", "sunset")
FOGGY = ("fog", "mist")

Shape = Callable[[Picture, Picture], Picture]


@dataclass(frozen=True)
class Sky:
    """A sky over the whole canvas, and what it does to the land below.

    tint: the light's colour.  haze: what distance fades into.  fog: how much of it there is nearby, 0 to 1.
    sun: where the low sun stands (x), if it is seen.  details: the hour and the clouds in words.
    """

    picture: Picture
    hour: str
    tint: Picture
    haze: Picture
    fog: float
    sun: float | None
    details: tuple[str, ...]


def said(*phrases: str) -> tuple[str, ...]:
    """The phrases that are not empty."""
    return tuple(phrase for phrase in phrases if phrase)


def clouds(canvas: Canvas, picture: Picture, hour: str, horizon: float, wispy: bool = False) -> Picture:
    """Clouds lit from above, thinner towards the horizon."""
    n = canvas.noise(2.0, 1, canvas.between(3, 5), 1.5) if wispy else canvas.noise(1.8, 1, canvas.between(1.2, 2), 2.2)
    start = canvas.between(-0.5, 0.5) - 0.7 * (hour == "overcast")
    cover = smoothstep(start, start + (1.6 if wispy else canvas.between(0.5, 1.0)), n)
    lit = np.clip(0.55 + 0.9 * (np.roll(n, -max(1, canvas.short // 20), 0) - n), 0, 1)
    tone = mix(CLOUDS[hour][1], CLOUDS[hour][0], lit)
    return mix(picture, tone, cover * (1 - 0.45 * np.clip(canvas.y / horizon, 0, 1)) * canvas.between(0.75, 1))


def sky(canvas: Canvas, horizon: float, hours: Sequence[str] = HOURS, cloudy: float = 0.6) -> Sky:
    """The sky of an hour down to `horizon`: gradient, sun or moon, clouds."""
    hour = canvas.pick(hours)
    light = LIGHTS[hour]
    phrase = canvas.pick(light.phrases)
    top, haze = canvas.vary(light.top, 0.06), canvas.vary(light.horizon, 0.04)
    down = np.clip(canvas.y / max(horizon, 0.05), 0, 1)
    picture = mix(top, haze, down ** canvas.between(0.8, 1.6))
    if light.middle:
        bend, middle = canvas.between(0.4, 0.7), canvas.vary(light.middle)
        picture = mix(mix(top, middle, smoothstep(0, bend, down)), haze, smoothstep(bend, 1, down))
    picture = canvas.fill(picture)
    fog = canvas.between(0.45, 0.75) if any(word in phrase for word in FOGGY) else 0.0
    cloud_words: str = ""
    if not fog and canvas.chance(0.15 if phrase in CLEAR else 0.95 if hour == "overcast" else cloudy):
        wispy = phrase in CLEAR or canvas.chance(0.3)
        picture = clouds(canvas, picture, hour, horizon, wispy)
        words = WHITE_CLOUD_WORDS if hour == "day" else CLOUD_WORDS
        if hour != "overcast" and horizon > 0.25 and canvas.chance(0.6):
            cloud_words = canvas.pick(("with wispy clouds", "with thin clouds") if wispy else words)
    sun = None
    if light.middle and (phrase in LOW_SUN or canvas.chance(0.6)):
        sun = canvas.between(0.12, 0.88)
        away = canvas.distance(sun, horizon * canvas.between(0.6, 0.97))
        glow = np.exp(-away / canvas.between(0.12, 0.3)) * canvas.between(0.35, 0.6)
        r = canvas.between(0.045, 0.08)
        picture = picture + glow[..., None] * colour(1, 0.75, 0.4)
        picture = mix(picture, (1, 0.97, 0.82), smoothstep(r, r * 0.7, away))
    if "moon" in phrase:
        away, r = canvas.distance(canvas.between(0.15, 0.85), horizon * canvas.between(0.2, 0.6)), 0.055
        picture = picture + (0.25 * np.exp(-away / 0.15))[..., None] * colour(0.7, 0.8, 1)
        picture = mix(picture, (0.95, 0.95, 0.88), smoothstep(r, r * 0.75, away))
    tint = colour(*light.tint)
    return Sky(picture, hour, tint, haze, fog, sun, said(phrase, cloud_words))


def peaks(canvas: Canvas, spacing: float, base: float, height: float, slope: float = 1.0) -> tuple[Picture, Picture]:
    """A skyline of overlapping peaks: (its y, the x of the peak it belongs to), both (1, W).

    spacing: between peaks, in short sides.  Steeper flanks with a larger `slope`.
    """
    span = canvas.width / canvas.short
    number = max(2, int(span / spacing) + 2)
    centres = (np.arange(number) - 0.5 + canvas.rng.uniform(-0.4, 0.4, number)) * spacing
    tall = height * canvas.rng.uniform(0.45, 1, number)
    flank = np.abs(canvas.x * span - centres[:, None]) * slope * height / spacing
    rise = tall[:, None] - flank * canvas.rng.uniform(0.7, 1.2, number)[:, None]
    owner = rise.argmax(0)
    return (base - rise.max(0)).astype(np.float32)[None], (centres[owner] / span).astype(np.float32)[None]


def tree_line(canvas: Canvas, base: float, height: float, conifers: bool) -> Picture:
    """The upper edge of distant trees, (1, W): pointed conifers or round crowns."""
    if conifers:
        return peaks(canvas, canvas.between(0.05, 0.1), base - 0.45 * height, 0.7 * height, 1.0)[0]
    return np.asarray(base - height * (0.35 + 0.45 * np.abs(canvas.profile(1.15))), np.float32)


def edge_mask(canvas: Canvas, edge: ArrayLike, softness: float = 0.008) -> Picture:
    """1 below an edge (a y for each x), 0 above it: (H, W)."""
    return np.broadcast_to(
        smoothstep(-softness, softness, canvas.y - np.asarray(edge, np.float32)), (canvas.height, canvas.width)
    )


def leaf(u: Picture, v: Picture) -> Picture:
    """A pointed leaf: under 1 inside."""
    return np.asarray(u * u + 2.0 * np.abs(v), np.float32)


def blade(u: Picture, v: Picture) -> Picture:
    """A long, narrow leaf: under 1 inside."""
    return np.asarray(u * u + 4.5 * np.abs(v), np.float32)


def bloom(u: Picture, v: Picture) -> Picture:
    """A flower of five petals: under 1 inside."""
    return np.asarray(np.hypot(u, v) / (0.6 + 0.4 * np.sqrt(np.abs(np.cos(2.5 * np.arctan2(v, u))))), np.float32)


def stamp(
    canvas: Canvas,
    picture: Picture,
    shape: Shape,
    number: int,
    radius: tuple[float, float],
    colours: Sequence[ArrayLike],
    *,
    top: float = 0.0,
    bottom: float = 1.0,
    nearer: float = 1.0,
    heart: ArrayLike | None = None,
    where: Picture | None = None,
) -> Picture:
    """Shapes at random places and angles, those further down over those further up.

    nearer: how many times larger they are at the lower edge.  heart: the colour of a round centre.
    where: a mask (H, W); shapes whose centre lies where it is under a half are left out.
    """
    number = round(number * canvas.height * canvas.width / canvas.short**2)
    for place in np.sort(canvas.rng.random(number)):
        cx, cy = canvas.rng.random() * canvas.width, (top + (bottom - top) * float(place)) * canvas.height
        if where is not None and where[min(canvas.height - 1, int(max(cy, 0))), int(cx)] < 0.5:
            continue
        r = canvas.between(*radius) * canvas.short / 128 * (1 + (nearer - 1) * float(place))
        rows = slice(max(0, int(cy - r - 1)), max(0, min(canvas.height, int(cy + r + 2))))
        columns = slice(max(0, int(cx - r - 1)), max(0, min(canvas.width, int(cx + r + 2))))
        dy = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - cy) / r
        dx = (np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - cx) / r
        if not dy.size or not dx.size:
            continue
        angle = canvas.between(0, 2 * np.pi)
        u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        d = shape(u, v)
        tone = canvas.vary(canvas.pick(colours), 0.07) * (1.02 + 0.16 * np.tanh(6 * v) - 0.12 * d)[..., None]
        if heart is not None:
            tone = mix(tone, heart, smoothstep(0.36, 0.22, d))
        patch = picture[rows, columns]
        picture[rows, columns] = mix(patch, tone, np.clip((1 - d) * r / 2, 0, 1) * canvas.between(0.7, 1))
    return picture


def sea(canvas: Canvas, air: Sky, horizon: float, deep: Picture, rough: float) -> tuple[Picture, Picture]:
    """Water to the horizon: (picture, depth (H, 1)), with crests that grow nearer and a path of sunlight."""
    depth = np.clip((canvas.y - horizon) / (1 - horizon), 0, 1)
    swell = canvas.noise(1.75, 0.8, 3.0)
    phase = 2 * np.pi * canvas.between(4, 6.5) * np.log(depth + 0.1) / np.log(11) + 1.1 * swell
    crest = np.sin(phase) * np.minimum(1, 4 * depth)
    water = mix(air.haze * 0.85, deep * air.tint, np.clip(depth * 2.2, 0, 0.92))
    water = water * (1 + rough * (0.35 * crest + 0.2 * swell))[..., None]
    bright = air.haze * 0.6 + 0.35 * air.tint
    water = mix(water, bright, smoothstep(0.72, 1.05, crest + 0.15 * swell) * rough * 0.7)
    if air.sun is not None:
        reach = np.abs(canvas.x - air.sun) * canvas.width / canvas.short
        path = np.exp(-((reach / (0.05 + 0.14 * depth)) ** 2)) * (0.55 + 0.45 * np.sin(2 * phase))
        water = mix(water, (1, 0.86, 0.58), np.clip(path, 0, 1) * 0.8)
    return water, depth


def palms(canvas: Canvas, picture: Picture, foot: float, tint: Picture) -> Picture:
    """One or two palm trees that lean in from the left or the right."""
    side = canvas.pick((-1, 1))
    ratio = canvas.width / canvas.short
    tall = canvas.height / canvas.short
    mask = np.zeros((canvas.height, canvas.width), np.float32)
    trunk = mask.copy()
    for _ in range(canvas.count(1, 3)):
        root, crown = (0.5 + side * canvas.between(0.38, 0.5)), canvas.between(0.1, 0.3)
        lean = -side * canvas.between(0.02, 0.14) / ratio
        up = np.clip((foot - canvas.y) / (foot - crown), 0, 1)
        on = (canvas.y > crown) & (canvas.y < foot)
        trunk = np.maximum(trunk, smoothstep(0.02, 0.012, np.abs(canvas.x - root - lean * up**1.5) * ratio) * on)
        dx, dy = (canvas.x - root - lean) * ratio, (canvas.y - crown) * tall
        for _ in range(canvas.count(6, 9)):
            length, droop, angle = canvas.between(0.2, 0.36), canvas.between(1.5, 3.5), canvas.between(0.1, np.pi - 0.1)
            reach = dx * np.sign(np.cos(angle)) / (length * max(0.35, abs(np.cos(angle))))
            arc = -np.sin(angle) * 0.55 * reach * length + droop * length * 0.45 * reach**2
            wide = 0.034 * np.clip(reach * 4 + 0.3, 0, 1) * np.clip(1.15 - reach, 0, 1)
            mask = np.maximum(mask, smoothstep(0.012, -0.004, np.abs(dy - arc) - wide) * ((reach > 0) & (reach < 1.1)))
    picture = mix(picture, colour(0.36, 0.27, 0.18) * tint, trunk)
    return mix(picture, canvas.vary((0.14, 0.33, 0.13)) * tint, mask)


def reflect(canvas: Canvas, picture: Picture, shore: float, ripple: float) -> Picture:
    """Everything above `shore` mirrored below it, a little shaken."""
    shake = canvas.noise(1.4, 0.5, 4) * ripple * np.clip((canvas.y - shore) * 3, 0, 1) * 0.02
    mirrored = shore - (canvas.y - shore) * min(1.0, shore / (1 - shore)) + shake
    rows = np.clip(mirrored * canvas.height, 0, max(0, shore * canvas.height - 1)).astype(np.intp)
    columns = np.broadcast_to(np.arange(canvas.width), rows.shape)
    return np.asarray(picture[rows, columns], np.float32)


def beach(canvas: Canvas) -> Drawn:
    """Sand, surf and sea; the shore runs level, slants, or comes in from one side."""
    horizon = canvas.between(0.25, 0.55)
    air = sky(canvas, horizon)
    tropical = canvas.chance(0.5)
    deep = canvas.vary((0.08, 0.62, 0.66) if tropical else canvas.pick(((0.12, 0.34, 0.52), (0.2, 0.42, 0.48))))
    water, depth = sea(canvas, air, horizon, deep, 0.5)
    picture = mix(air.picture, water, edge_mask(canvas, horizon, 0.005))
    words = ""
    if canvas.chance(0.25):
        hills = (
            horizon - np.clip(canvas.pick((-1, 1)) * (canvas.x - 0.5) - 0.05 + 0.04 * canvas.profile(1.6), 0, 0.2) * 0.5
        )
        rock = mix(canvas.pick(((0.3, 0.36, 0.25), (0.42, 0.36, 0.32))) * air.tint, air.haze, 0.35)
        picture = mix(picture, rock, edge_mask(canvas, hills) * (canvas.y < horizon))
        words = canvas.pick(("with cliffs", "with a headland", "with hills behind"))
    slant = canvas.pick((0.0, canvas.between(-0.3, 0.3), canvas.pick((-1, 1)) * canvas.between(0.4, 0.8)))
    line = horizon + (1 - horizon) * canvas.between(0.25, 0.6) + slant * (canvas.x - 0.5) + 0.02 * canvas.profile(1.8)
    grain = canvas.noise(1.3, 1, 2.5)
    sand = canvas.vary(canvas.pick(((0.88, 0.76, 0.56), (0.95, 0.88, 0.74), (0.75, 0.62, 0.45)))) * air.tint
    sandy = sand * (0.92 + 0.12 * depth + 0.055 * grain)[..., None]
    past = canvas.y - line
    sandy = mix(sandy * 0.7 + 0.1 * air.haze, sandy, smoothstep(0.0, 0.12, past))
    land = (canvas.y > horizon) * smoothstep(-0.01, 0.01, past)
    picture = mix(picture, sandy, land)
    for back, strength in ((0.012, 0.95), (-canvas.between(0.07, 0.13), 0.6)):
        past = past + 0.008 * canvas.profile(1.5)
        width = 0.02 * (1 + 0.5 * np.maximum(0, canvas.profile(1.6)))
        foam = np.exp(-(((past - back) / width) ** 2)) * (canvas.y > horizon + 0.02) * strength
        picture = mix(picture, np.maximum(air.tint, 0.3) * 0.97, foam)
    picture = mix(picture, air.haze, air.fog * 0.8 * (1 - depth))
    if tropical and canvas.chance(0.6):
        picture = palms(canvas, picture, canvas.between(0.7, 1.05), np.maximum(air.tint * (air.sun is None), 0.3))
        words = canvas.pick(("with palm trees", "with palms", "with a palm tree"))
    names: tuple[str, ...] = (
        "sandy beach", "beach", "seaside", "seashore", "beach by the sea", "sandy shore", "shoreline", "coast",
        "beach and sea", "ocean beach", "beach with waves", "seaside beach", "sand and sea",
    )  # fmt: skip
    if tropical:
        names += ("tropical beach", "paradise beach", "beach with turquoise water") * 2
    return Drawn(picture, canvas.pick(names), said(*air.details, words), (0.3, 2.0))


def ocean(canvas: Canvas) -> Drawn:
    """Open water under a sky, calm or rough."""
    horizon = canvas.between(0.15, 0.58)
    air = sky(canvas, horizon)
    rough = canvas.between(0.25, 1.1)
    deep = canvas.vary(canvas.pick(((0.05, 0.25, 0.47), (0.04, 0.42, 0.52), (0.1, 0.3, 0.42), (0.06, 0.18, 0.34))))
    water, depth = sea(canvas, air, horizon, deep, rough)
    if rough > 0.75:
        foam = smoothstep(1.1, 1.9, canvas.noise(1.4, 0.9, 3.2)) * np.minimum(1, 3 * depth)
        water = mix(water, np.maximum(air.tint, 0.3) * 0.95, foam * 0.8)
    picture = mix(mix(air.picture, air.haze, air.fog), water, edge_mask(canvas, horizon, 0.005 + 0.05 * air.fog))
    names: tuple[str, ...] = (
        "ocean", "sea", "open ocean", "open sea", "sea horizon", "water and horizon", "seascape", "ocean view",
        "blue sea" if air.hour == "day" else "sea view",
    )  # fmt: skip
    calm = ("calm sea", "calm ocean", "quiet sea", "calm water")
    waves = ("ocean waves", "sea with waves", "rough sea", "stormy sea" if air.hour == "overcast" else "waves")
    names += calm if rough < 0.45 else waves if rough > 0.75 else ()
    return Drawn(picture, canvas.pick(names), air.details, (0.3, 2.0))


def open_sky(canvas: Canvas) -> Drawn:
    """Nothing but sky."""
    air = sky(canvas, canvas.between(0.9, 1.4), HOURS, 0.8)
    names: dict[str, tuple[str, ...]] = {
        "day": ("blue sky", "bright blue sky", "summer sky", "sky", "clear blue sky", "daytime sky"),
        "sunset": ("sunset sky", "orange sky", "golden sunset", "dramatic sunset sky", "evening sky", "sky on fire"),
        "sunrise": ("sunrise sky", "pink morning sky", "pastel sky", "morning sky", "soft pastel sky"),
        "dusk": ("purple dusk sky", "twilight sky", "dusk sky", "evening sky", "dark blue sky"),
        "night": ("dark night sky", "night sky", "dark sky"),
        "overcast": ("grey cloudy sky", "overcast sky", "grey sky", "cloudy sky", "stormy sky", "gloomy sky"),
    }
    subject = canvas.pick(names[air.hour])
    cloud = any("clouds" in words or "cloudy" in words for words in air.details)
    if subject == "clear blue sky" and cloud:
        subject = "blue sky"
    # The subject says the hour already; the clouds are what is left to say.
    details = tuple(words for words in air.details if "cloud" in words or canvas.chance(0.25))
    if air.hour == "day" and "in summer" not in details:
        details = tuple(words for words in details if "sky" not in words)
    return Drawn(mix(air.picture, air.haze, air.fog * 0.6), subject, details, (0.2, 1.6))


def stars(canvas: Canvas) -> Drawn:
    """A night sky full of stars, at times with the Milky Way or northern lights, over a dark land or not."""
    low = canvas.vary(canvas.pick(((0.01, 0.02, 0.08), (0.03, 0.02, 0.1), (0.0, 0.03, 0.07))))
    high = canvas.vary(canvas.pick(((0.08, 0.1, 0.28), (0.2, 0.08, 0.3), (0.05, 0.15, 0.25), (0.02, 0.04, 0.12))))
    picture = canvas.fill(mix(low, high, np.clip(canvas.y + 0.12 * canvas.noise(1.9), 0, 1)))
    kind = canvas.pick(("plain", "plain", "milky way", "milky way", "aurora"))
    names: tuple[str, ...] = (
        "starry night sky", "night sky with stars", "starry sky", "stars at night", "stars",
        "night sky full of stars", "star field",
    )  # fmt: skip
    if kind == "milky way":
        across = canvas.along(canvas.between(0, np.pi)) + 0.06 * canvas.noise(1.9)
        cloud = np.exp(-((across / 0.16) ** 2)) * np.clip(0.8 + 0.45 * canvas.noise(1.5), 0, 2)
        glow = canvas.pick(((0.42, 0.34, 0.5), (0.3, 0.36, 0.55), (0.5, 0.38, 0.36)))
        picture = picture + cloud[..., None] * colour(*glow)
        names = (
            "milky way",
            "galaxy",
            "night sky with the milky way",
            "milky way and stars",
            "stars of the milky way",
        )
    elif kind == "aurora":
        curtain = canvas.between(0.35, 0.6) + 0.1 * canvas.profile(1.9)
        rise = np.where(canvas.y < curtain, np.exp((canvas.y - curtain) / 0.22), np.exp((curtain - canvas.y) / 0.03))
        rays = np.clip(0.75 + 0.3 * canvas.profile(1.0), 0.2, 1.4)
        tone = mix(
            (0.15, 0.9, 0.5), canvas.pick(((0.1, 0.6, 0.7), (0.6, 0.2, 0.8))), np.clip((curtain - canvas.y) * 2.5, 0, 1)
        )
        picture = picture + (rise * rays)[..., None] * tone * canvas.between(0.6, 0.9)
        names = (
            "northern lights",
            "aurora borealis",
            "aurora in the night sky",
            "green northern lights",
            "polar lights",
        )
    tones = ((1.0, 1.0, 1.0), (0.8, 0.88, 1.0), (1.0, 0.9, 0.75))
    picture = canvas.discs(picture, canvas.count(35, 80), (0.9, 1.8), tones, opacity=(0.3, 0.9), rim=0)
    picture = canvas.discs(picture, canvas.count(6, 16), (1.8, 3), tones, opacity=(0.7, 1), rim=0)
    words = ""
    if canvas.chance(0.45):
        trees = canvas.chance(0.5)
        base = canvas.between(0.82, 0.98)
        edge = tree_line(canvas, base, 0.16, True) if trees else base - 0.04 * canvas.profile(1.7)
        picture = mix(picture, canvas.vary((0.01, 0.015, 0.03)), edge_mask(canvas, edge))
        words = canvas.pick(
            ("over dark trees", "over a forest", "above the trees") if trees else ("over dark hills", "above the hills")
        )
    if kind == "milky way" and not words:
        names += ("deep space", "outer space", "space")
    return Drawn(picture, canvas.pick(names), said(words), (0.1, 0.6))


def ridge(canvas: Canvas, air: Sky, base: float, height: float, rock: Picture, snow: float) -> tuple[Picture, Picture]:
    """One chain of mountains, (mask, picture): each peak has a side in the light and one in the shade."""
    edge, centre = peaks(canvas, canvas.between(0.3, 0.65), base, height)
    n = canvas.noise(1.4)
    edge = edge + 0.018 * canvas.profile(1.2)
    flip = canvas.pick((-1, 1))
    side = (canvas.x - centre) * canvas.width / canvas.short + 0.035 * n - 0.12 * (canvas.y - edge)
    lit = smoothstep(-0.02, 0.03, side * flip)
    face = rock * (0.62 + 0.53 * lit)[..., None] * (1 + 0.08 * n)[..., None] * air.tint
    white = colour(0.96, 0.97, 1) * np.maximum(0.55 * air.tint + 0.45 * air.tint.max(), 0.28)
    white = white * (0.72 + 0.31 * lit)[..., None]
    return edge_mask(canvas, edge), mix(face, white, smoothstep(snow + 0.04, snow - 0.04, canvas.y - edge + 0.05 * n))


def mountain(canvas: Canvas) -> Drawn:
    """Chains of mountains behind each other, with a meadow, trees, snow or a lake in front of them."""
    foot = canvas.between(0.6, 0.88)
    air = sky(canvas, foot * 0.8)
    snowy = canvas.chance(0.55)
    # The evening sun leaves nothing green.
    green = not snowy and air.hour in ("day", "overcast", "sunrise") and canvas.chance(0.6)
    rock = (
        (0.33, 0.36, 0.45)
        if snowy
        else (0.3, 0.43, 0.24)
        if green
        else canvas.pick(((0.45, 0.4, 0.37), (0.52, 0.4, 0.3)))
    )
    picture = air.picture
    chains = canvas.count(2, 4)
    height = canvas.between(0.32, 0.55)
    for i in range(chains):
        near = (i + 1) / chains
        base = foot + 0.04 - 0.14 * (1 - near) * chains / 2
        tall = height * (1.15 - 0.55 * near)
        mask, face = ridge(canvas, air, base, tall, canvas.vary(rock, 0.06), (0.26 - 0.14 * near) if snowy else -9)
        picture = mix(picture, mix(face, air.haze, np.clip(0.55 - 0.45 * near + 0.6 * air.fog, 0, 0.9)), mask)
    front, words = canvas.pick(("meadow", "trees", "lake", "")), ""
    tint, edge = air.tint, foot - 0.015 * canvas.profile(1.9)
    if front == "meadow":
        ground = (
            ((0.92, 0.94, 0.98) if snowy else (0.34, 0.5, 0.2)) * tint * (1 + 0.07 * canvas.noise(1.5, 1, 2))[..., None]
        )
        picture = mix(picture, ground, edge_mask(canvas, edge, 0.02))
        words = canvas.pick(
            ("with snow in front", "") if snowy else ("with a green meadow", "and meadow", "with grass in front")
        )
    elif front == "trees":
        trees = tree_line(canvas, foot + 0.05, 0.17, True)
        wood = colour(0.09, 0.19, 0.14) * tint * (1 + 0.2 * canvas.noise(1.2))[..., None]
        picture = mix(picture, wood, edge_mask(canvas, trees))
        words = canvas.pick(("with forest", "with pine trees", "with a pine forest", "and trees"))
    elif front == "lake":
        mirror = reflect(canvas, picture, foot, 1.0) * 0.82
        picture = mix(picture, mirror, edge_mask(canvas, foot, 0.006))
        words = canvas.pick(("with a lake", "and a lake", "reflected in a lake", "by a lake"))
    hour = tuple(phrase for phrase in air.details[:1] if not (snowy and "summer" in phrase))
    names: tuple[str, ...] = (
        "mountains",
        "mountain landscape",
        "mountain range",
        "mountain peaks",
        "mountain view",
        "mountain scenery",
    )
    kinds = ("snowy mountains", "snow covered mountains", "snowy alps", "mountain peaks with snow", "winter mountains")
    other = (
        ("green mountains", "green hills", "green alps")
        if green
        else ("rocky mountains", "rocky peaks", "bare mountains")
    )
    return Drawn(picture, canvas.pick(names + (kinds if snowy else other) * 2), said(*hour, words), (0.2, 1.6))


@dataclass(frozen=True)
class Wood:
    """A kind of forest: the light between the trees, leaves, trunks, ground, and its names."""

    light: Rgb
    leaves: Rgb
    trunk: Rgb
    ground: Rgb
    names: tuple[str, ...]


WOODS: dict[str, Wood] = {
    "green": Wood((0.75, 0.88, 0.5), (0.16, 0.4, 0.12), (0.2, 0.15, 0.1), (0.3, 0.4, 0.16), (
        "green forest", "forest", "woods", "sunny forest", "trees", "woodland", "summer forest", "forest trees")),
    "dark": Wood((0.33, 0.48, 0.34), (0.07, 0.19, 0.1), (0.03, 0.05, 0.035), (0.08, 0.14, 0.07), (
        "dark green forest", "dark forest", "deep dark woods", "moody forest", "dark woods", "gloomy forest")),
    "misty": Wood((0.82, 0.86, 0.86), (0.42, 0.52, 0.48), (0.22, 0.26, 0.26), (0.42, 0.48, 0.42), (
        "misty forest", "foggy forest", "forest in fog", "foggy woods", "forest in the mist", "misty woods")),
    "autumn": Wood((1.0, 0.85, 0.5), (0.82, 0.42, 0.08), (0.22, 0.14, 0.1), (0.66, 0.36, 0.12), (
        "autumn forest", "fall forest", "forest in autumn", "orange autumn trees", "autumn woods", "autumn trees")),
    "winter": Wood((0.9, 0.94, 0.98), (0.74, 0.8, 0.87), (0.24, 0.23, 0.25), (0.93, 0.95, 0.99), (
        "snowy forest", "winter forest", "forest in snow", "winter woods", "snow covered trees", "snowy woods")),
    "jungle": Wood((0.6, 0.78, 0.3), (0.05, 0.3, 0.1), (0.12, 0.14, 0.06), (0.12, 0.26, 0.08), (
        "jungle", "tropical jungle", "rainforest", "lush green jungle", "tropical forest",
        "rain forest", "tropical plants")),
}  # fmt: skip


def trunks(canvas: Canvas, number: int, width: float, foot: float) -> tuple[Picture, Picture]:
    """Tree trunks side by side: (mask, shade from -1 to 1 across each), both (H, W)."""
    ratio = canvas.width / canvas.short
    mask = np.zeros((canvas.height, canvas.width), np.float32)
    shade = mask.copy()
    for slot in range(max(1, round(number * ratio))):
        cx = (slot + canvas.between(0, 1)) / (number * ratio)
        half = width * canvas.between(0.6, 1.3) / 2
        lean, end = canvas.between(-0.07, 0.07), foot + canvas.between(-0.04, 0.06)
        across = ((canvas.x - cx) * ratio + lean * (foot - canvas.y)) / (half * (0.85 + 0.25 * canvas.y))
        on = smoothstep(1.1, 0.85, np.abs(across)) * smoothstep(0.03, -0.03, canvas.y - end)
        shade = np.where(on > 0.5, np.clip(across, -1, 1), shade)
        mask = np.maximum(mask, on)
    return mask, shade


def sunbeams(canvas: Canvas, picture: Picture, light: Picture, gap: float) -> Picture:
    """Rays that fan out from above the light gap."""
    angle = np.arctan2((canvas.x - gap) * canvas.width, (canvas.y + 0.25) * canvas.height)
    beams = smoothstep(0.1, 0.9, np.sin(angle * canvas.between(14, 22))) * smoothstep(0.95, 0.2, canvas.y)
    return mix(picture, mix(light, (1, 0.98, 0.85), 0.5), beams * 0.5)


def footpath(canvas: Canvas, picture: Picture, rgb: Picture, gap: float, floor: float) -> Picture:
    """A path from the light gap to the middle of the lower edge."""
    depth = np.clip((canvas.y - floor) / (1 - floor), 0, 1)
    width = 0.06 + 0.22 * depth
    path = smoothstep(width, width * 0.8, np.abs(canvas.x - gap - (0.5 - gap) * depth)) * (canvas.y > floor)
    return mix(picture, rgb, path * 0.8)


def grow(
    canvas: Canvas, picture: Picture, kind: str, tones: tuple[Picture, Picture, Picture], conifers: bool
) -> Picture:
    """Three layers of trees over the ground, and crowns over the far two; tones: light, leaves and bark."""
    light, green, bark = tones
    n = canvas.noise(1.4)
    for near, number in ((0.0, 6), (0.5, 5), (1.0, canvas.count(1, 4))):
        if conifers:
            edge = peaks(canvas, 0.16 + 0.16 * near, 0.42 + 0.3 * near, 0.34 + 0.3 * near, 1.4)[0]
            edge = edge + 0.01 * np.sin(canvas.y * canvas.between(40, 55))
            tree = (
                mix(light * 0.9, (0.3, 0.36, 0.4), near)
                if kind == "winter"
                else mix(mix(light, green, 0.6), bark, near)
            )
            fade = edge_mask(canvas, edge, 0.012) * smoothstep(0.95, 0.8, canvas.y - 0.12 * near)
            picture = mix(picture, tree, fade * (0.55 + 0.45 * near))
        elif kind != "jungle" or near < 1:
            mask, shade = trunks(canvas, number, 0.03 + 0.06 * near, 0.75 + 0.16 * near)
            tone = mix(mix(light, green, 0.6), bark, 0.2 + 0.8 * near)
            picture = mix(
                picture, mix(tone, mix(tone, light, 0.5), np.clip(shade, 0, 1) * 0.4), mask * (0.5 + 0.5 * near)
            )
        if kind != "winter" and near < 1 and not conifers:
            crown = smoothstep(0.1, 1.0, n + (0.36 - canvas.y) * 3.2)
            n = np.roll(n[::-1], canvas.width // 3, 1)
            picture = mix(picture, mix(light, green, 0.5 + 0.4 * near) * (1 + 0.2 * n)[..., None], crown * 0.85)
    return picture


def forest(canvas: Canvas) -> Drawn:
    """Trunks before a light gap, layer over layer, in one of six woods; conifers in some of them."""
    kind = canvas.pick((*WOODS, "green", "dark"))
    wood, words = WOODS[kind], ""
    light, green, bark = canvas.vary(wood.light), canvas.vary(wood.leaves, 0.07), canvas.vary(wood.trunk, 0.03)
    gap, floor = canvas.between(0.2, 0.8), canvas.between(0.66, 0.86)
    away = ((canvas.x - gap) / canvas.between(0.2, 0.4)) ** 2 + ((canvas.y - 0.42) / canvas.between(0.25, 0.45)) ** 2
    picture = mix(green * 0.75, light, np.exp(-away)) * (1 + 0.15 * canvas.noise(1.4))[..., None]
    ground = canvas.vary(wood.ground) * (1 + 0.13 * canvas.noise(1.5, 1, 2.5))[..., None]
    ground = mix(ground, mix(light, wood.ground, 0.35), 0.5 * np.exp(-(((canvas.x - gap) / 0.3) ** 2)))
    picture = mix(picture, ground, edge_mask(canvas, floor - 0.02 * canvas.profile(1.8), 0.04))
    conifers = kind in ("misty", "winter", "dark") and canvas.chance(0.4)
    picture = grow(canvas, picture, kind, (light, green, bark), conifers)
    if kind == "jungle":
        tones = (green, mix(green, light, 0.35), mix(green, light, 0.6), green * 0.6)
        picture = stamp(canvas, picture, canvas.pick((leaf, blade)), canvas.count(18, 34), (9, 20), tones)
    elif kind in ("green", "autumn", "dark"):
        spots = (light, mix(light, green, 0.3))
        picture = canvas.discs(picture, canvas.count(4, 18), (3, 7), spots, bottom=0.6, opacity=(0.15, 0.5))
    if kind in ("green", "autumn", "misty") and not conifers and canvas.chance(0.3):
        picture = sunbeams(canvas, picture, light, gap)
        words = canvas.pick(("with sun rays", "with sunbeams", "with light rays", "with sunlight through the trees"))
    elif not conifers and kind != "jungle" and canvas.chance(0.35):
        earth = mix(light, (0.6, 0.5, 0.38), 0.55) * (0.5 if kind == "dark" else 0.95)
        picture = footpath(canvas, picture, earth, gap, floor)
        words = canvas.pick(("with a path", "with a trail", "with a footpath"))
    if kind == "misty":
        picture = mix(picture, light, canvas.between(0.15, 0.45))
    names = wood.names + (("pine forest", "fir trees") if conifers and kind != "winter" else ())
    return Drawn(picture, canvas.pick(names), said(words), (0.4, 2.5))


AUTUMN: tuple[Rgb, ...] = (
    (0.95, 0.6, 0.1),
    (0.85, 0.3, 0.06),
    (0.98, 0.8, 0.25),
    (0.65, 0.2, 0.06),
    (0.72, 0.45, 0.15),
)


def autumn(canvas: Canvas) -> Drawn:
    """Autumn leaves: near and all over, on a ground under blurred trees, or around a bright gap."""
    kind = canvas.pick(("foliage", "ground", "frame"))
    base = canvas.vary(canvas.pick(((0.6, 0.38, 0.15), (0.42, 0.28, 0.12), (0.85, 0.65, 0.32), (0.36, 0.36, 0.16))))
    tones = canvas.pick((AUTUMN, AUTUMN[:3], (AUTUMN[0], AUTUMN[2]), (AUTUMN[1], AUTUMN[3], AUTUMN[0])))
    picture = base * (1 + 0.25 * canvas.noise(1.8))[..., None]
    picture = canvas.discs(picture, canvas.count(8, 25), (6, 15), tones, opacity=(0.15, 0.45), light=False)
    names: tuple[str, ...] = (
        "autumn leaves", "fall leaves", "autumn foliage", "orange autumn leaves", "colourful autumn leaves",
        "fall foliage", "golden autumn leaves", "autumn background",
    )  # fmt: skip
    if kind == "ground":
        floor = canvas.between(0.35, 0.6)
        mask, _ = trunks(canvas, canvas.count(2, 5), 0.07, floor + 0.04)
        picture = mix(mix(picture, (1, 0.88, 0.6), 0.35), (0.25, 0.16, 0.11), mask * 0.8)
        picture = mix(
            picture, mix(base, tones[0], 0.35) * 0.9, edge_mask(canvas, floor - 0.01 * canvas.profile(), 0.03)
        )
        picture = blur(picture, 2.5)
        picture = stamp(
            canvas, picture, leaf, canvas.count(60, 90), (3.5, 5), tones, top=floor, bottom=1.05, nearer=2.4
        )
        names = (
            "fallen leaves", "autumn leaves on the ground", "autumn park", "fall leaves on the ground",
            "park in autumn", "forest floor with autumn leaves", "ground covered with autumn leaves",
        )  # fmt: skip
    elif kind == "foliage":
        picture = stamp(canvas, picture, leaf, canvas.count(35, 60), (8, 16), tones)
    else:
        light = canvas.vary(canvas.pick(((1.0, 0.9, 0.62), (0.75, 0.85, 0.95), (0.8, 0.82, 0.5))))
        picture = mix(picture, light, smoothstep(0.55, 0.15, canvas.distance(0.5, canvas.between(0.45, 0.65))) * 0.85)
        picture = canvas.discs(picture, canvas.count(5, 14), (5, 11), ((1, 0.85, 0.5),), opacity=(0.1, 0.35))
        edges = canvas.distance(0.5, 0.62) + 0.13
        picture = stamp(canvas, picture, leaf, canvas.count(50, 90), (7, 13), tones, where=edges)
        names += ("branches with autumn leaves", "autumn bokeh")
    words = canvas.pick(("", "in october", "in warm light", "in orange and yellow" if tones is AUTUMN[:3] else ""))
    return Drawn(picture, canvas.pick(names), said(words), (0.3, 2.0))


FLOWERS: dict[str, Rgb] = {
    "pink": (0.95, 0.5, 0.68), "red": (0.85, 0.1, 0.13), "yellow": (0.98, 0.84, 0.15), "white": (0.97, 0.96, 0.93),
    "purple": (0.55, 0.28, 0.75), "orange": (0.97, 0.52, 0.12), "blue": (0.3, 0.42, 0.88),
    "hot pink": (0.92, 0.2, 0.55),
}  # fmt: skip
MANY = ("colourful", "colorful", "mixed", "bright", "multicoloured")


def flower_colour(canvas: Canvas) -> tuple[str, tuple[Rgb, ...]]:
    """How the flowers are called, and their colours."""
    if canvas.chance(0.22):
        return canvas.pick(MANY), tuple(FLOWERS.values())
    key = canvas.pick(tuple(FLOWERS))
    name = canvas.pick(SYNONYMS[key]) if canvas.chance(0.15) and key not in ("white", "yellow") else key
    return name, (FLOWERS[key],)


def garden(canvas: Canvas) -> Drawn:
    """Flowers among leaves: a bed below a green background, or flowers all over."""
    name, tones = flower_colour(canvas)
    green = canvas.vary(canvas.pick(((0.25, 0.45, 0.15), (0.14, 0.33, 0.13), (0.45, 0.6, 0.25))))
    top = canvas.pick((0.0, canvas.between(0.3, 0.62)))
    picture = green * (1 + 0.3 * canvas.noise(1.7))[..., None]
    picture = mix(picture, mix(green, (0.92, 0.97, 0.75), 0.7), smoothstep(top + 0.15, -0.3, canvas.y) * bool(top))
    picture = canvas.discs(picture, canvas.count(6, 22), (5, 12), ((0.7, 0.85, 0.4), (0.5, 0.7, 0.3)), bottom=0.8,
                           opacity=(0.1, 0.35))  # fmt: skip
    picture = canvas.discs(picture, canvas.count(0, 12), (5, 9), tones, top=top * 0.6, opacity=(0.3, 0.6), light=False)
    picture = stamp(
        canvas, picture, leaf, canvas.count(10, 24), (6, 12), (green * 0.7, green * 1.2), top=top, bottom=1.05
    )
    heart = None if canvas.chance(0.4) else canvas.pick(((0.95, 0.75, 0.15), (0.4, 0.25, 0.1)))
    size = canvas.between(5, 10)
    picture = stamp(canvas, picture, bloom, round(canvas.between(900, 1900) / size**2) + 6,
                    (size * 0.8, size * 1.2), tones, top=top, bottom=1.03, nearer=1.6 if top else 1,
                    heart=heart)  # fmt: skip
    forms = ("{} flowers", "{} flower garden", "garden with {} flowers", "{} flowers in a garden", "{} blossoms",
             "flower bed with {} flowers", "spring garden with {} flowers", "blooming {} flowers")  # fmt: skip
    names: tuple[str, ...] = ("flower garden", "garden", "garden flowers", "flower bed", "spring flowers")
    subject = canvas.pick(forms).format(name) if canvas.chance(0.75) else canvas.pick(names)
    details = said(canvas.pick(("", "", "with green leaves", "in spring")))
    return Drawn(picture, subject, details, (0.3, 2.0))


def behind(canvas: Canvas, air: Sky, horizon: float, winter: bool = False) -> tuple[Picture, str]:
    """What stands at the far end of a field, before the sky: (picture, words)."""
    picture, kind = air.picture, canvas.pick(("", "trees", "trees", "hills", "hills and trees"))
    haze = np.clip(0.35 + air.fog, 0, 0.9)
    words = ""
    if "hills" in kind:
        far = (0.7, 0.76, 0.85) if winter else (0.32, 0.45, 0.38)
        for i in range(2):
            edge = horizon - canvas.between(0.03, 0.09) * (1.6 - i) - 0.03 * canvas.profile(1.9)
            picture = mix(
                picture, mix(canvas.vary(far) * air.tint, air.haze, haze + 0.15 - 0.2 * i), edge_mask(canvas, edge)
            )
        words = canvas.pick(("with hills", "with hills in the distance", "before distant hills"))
    if "trees" in kind:
        edge = tree_line(canvas, horizon + 0.01, canvas.between(0.07, 0.2), winter or canvas.chance(0.3))
        dark = ((0.36, 0.43, 0.48) if winter else (0.13, 0.27, 0.12)) * air.tint
        crown = dark * (1 + 0.25 * canvas.noise(1.4))[..., None]
        picture = mix(picture, mix(crown, air.haze, haze * 0.7), edge_mask(canvas, edge))
        words = canvas.pick(("with trees", "with trees in the distance", "with a row of trees", "by the forest"))
    return picture, words


def meadow(canvas: Canvas) -> Drawn:
    """A field of grass, wheat or wild flowers under a sky."""
    kind = canvas.pick(("grass", "wheat", "flowers"))
    horizon = canvas.between(0.2, 0.6)
    air = sky(canvas, horizon, BRIGHT)
    picture, words = behind(canvas, air, horizon)
    depth, n = canvas.ground(horizon, 1.3, 0.5, 0.35)
    base = canvas.pick(((0.86, 0.68, 0.3), (0.8, 0.66, 0.36))) if kind == "wheat" else canvas.pick(
        ((0.3, 0.52, 0.15), (0.24, 0.45, 0.18), (0.45, 0.58, 0.22)))  # fmt: skip
    field = canvas.vary(base) * air.tint * (0.9 + 0.16 * depth + 0.15 * n)[..., None]
    picture = mix(picture, field, edge_mask(canvas, horizon - 0.01 * canvas.profile(2)))
    tall = canvas.count(35, 65)
    names: tuple[str, ...]
    if kind == "wheat":
        ears = tuple(np.multiply(base, air.tint) * k for k in (0.72, 1.08, 1.2))
        picture = stamp(canvas, picture, blade, tall, (4, 6), ears, top=horizon + 0.08, bottom=1.05, nearer=2.2)
        names = (
            "wheat field",
            "golden wheat field",
            "field of wheat",
            "grain field",
            "ripe wheat",
            "corn field",
            "barley field",
        )
    elif kind == "grass":
        if canvas.chance(0.5):
            tufts = tuple(np.multiply(base, air.tint) * k for k in (0.65, 0.85, 1.25))
            picture = stamp(canvas, picture, blade, tall, (4, 6), tufts, top=horizon + 0.1, bottom=1.05, nearer=2.2)
        names = (
            "green grass field", "meadow", "grassy meadow", "green field", "lawn", "countryside field",
            "green meadow", "grass", "pasture", "green grass",
        )  # fmt: skip
    else:
        name, tones = flower_colour(canvas)
        tones = tuple(tuple(np.multiply(tone, air.tint).tolist()) for tone in tones)
        picture = stamp(canvas, picture, bloom, tall, (2.2, 3.2), tones, top=horizon + 0.06, bottom=1.04, nearer=2.6)
        forms = ("meadow with {} flowers", "{} flower field", "field of {} flowers",
                      "{} wildflowers", "meadow full of {} flowers", "{} wildflower meadow")  # fmt: skip
        names = tuple(form.format(name) for form in forms)
        if canvas.chance(0.2):
            names = ("wildflower meadow", "flower meadow", "field of flowers", "summer meadow")
    picture = mix(picture, air.haze, air.fog * 0.8 * (1 - depth))
    return Drawn(picture, canvas.pick(names), said(*air.details[:1], words), (0.3, 2.2))


def lavender(canvas: Canvas) -> Drawn:
    """Rows of lavender that meet at the horizon."""
    horizon = canvas.between(0.22, 0.5)
    air = sky(canvas, horizon, BRIGHT)
    picture, words = behind(canvas, air, horizon)
    depth = np.clip((canvas.y - horizon) / (1 - horizon), 0, 1)
    ratio = canvas.width / canvas.short
    n = canvas.noise(1.4)
    across = (canvas.x - canvas.between(0.2, 0.8)) * ratio / (depth + 0.05)
    rows = np.cos(2 * np.pi * (across * canvas.between(2.2, 4) + canvas.between(0, 1)) + 0.35 * n)
    rows = 0.35 + (rows - 0.35) * smoothstep(0.0, 0.3, depth)
    purple = canvas.vary(canvas.pick(((0.52, 0.36, 0.75), (0.6, 0.42, 0.78), (0.43, 0.32, 0.68))))
    gap = canvas.vary(canvas.pick(((0.3, 0.38, 0.2), (0.48, 0.4, 0.28), (0.25, 0.22, 0.3))))
    field = mix(gap, purple * (1 + 0.12 * n + 0.18 * rows)[..., None], smoothstep(-0.65, 0.05, rows)) * air.tint
    picture = mix(picture, field, edge_mask(canvas, horizon))
    picture = mix(picture, air.haze, np.broadcast_to(air.fog * 0.8 * (1 - depth), rows.shape))
    names: tuple[str, ...] = (
        "lavender field", "purple lavender field", "field of lavender", "rows of lavender", "lavender rows",
        "lavender flowers in rows", "blooming lavender field", "lavender in provence", "lavender farm", "lavender",
    )  # fmt: skip
    return Drawn(picture, canvas.pick(names), said(*air.details[:1], words), (0.3, 2.0))


def desert(canvas: Canvas) -> Drawn:
    """Sand dunes behind each other, each with a sharp crest between light and shade."""
    horizon = canvas.between(0.28, 0.55)
    air = sky(canvas, horizon, (*BRIGHT[:-2], "night"), 0.3)
    sand = canvas.vary(canvas.pick(((0.92, 0.7, 0.42), (0.86, 0.54, 0.3), (0.95, 0.8, 0.58), (0.8, 0.45, 0.25))))
    picture, flip, ratio = air.picture, canvas.pick((-1, 1)), canvas.width / canvas.short
    ripple = canvas.noise(1.8)
    number, start = canvas.count(3, 7), canvas.between(0, 1)
    for i in range(number):
        near = i / number
        # Steps of the golden ratio: neighbours in depth stand far apart.
        centre, base = (start + 0.618 * i) % 1, horizon + 0.03 + (1 - horizon) * 0.85 * near**1.3
        tall, wide = canvas.between(0.1, 0.2) + 0.12 * near, canvas.between(0.3, 0.6) + 0.3 * near
        rise = tall * np.exp(-((np.abs(canvas.x - centre) * ratio / wide) ** 1.25))
        edge = base - rise + 0.01 * canvas.profile(2.2)
        below = np.maximum(canvas.y - edge, 0)
        bend = centre + flip * (0.7 * below + 0.06 * np.sin(12 * below)) / ratio
        shade = smoothstep(-0.015, 0.015, (canvas.x - bend) * flip) * smoothstep(2.2 * tall, 0.3 * tall, below)
        waves = 0.05 * np.sin(2 * np.pi * (8 - 3 * near) * below / 0.3 + 2 * ripple) * near
        dune = sand * air.tint * (1.08 - 0.25 * below + waves + 0.03 * ripple)[..., None]
        dune = mix(dune, dune * colour(0.55, 0.5, 0.55), shade * np.clip(3 * rise / tall, 0, 1) * 0.9)
        picture = mix(picture, mix(dune, air.haze, 0.35 * (1 - near)), edge_mask(canvas, edge))
    names: tuple[str, ...] = (
        "desert", "sand dunes", "desert dunes", "sandy desert", "sahara desert", "desert landscape", "dunes",
        "desert sand", "sahara", "dunes in the desert", "desert with sand dunes",
    )  # fmt: skip
    return Drawn(picture, canvas.pick(names), air.details, (0.2, 1.8))


def snow(canvas: Canvas) -> Drawn:
    """A snowy field or hills, with fir trees and falling snow at times."""
    horizon = canvas.between(0.3, 0.62)
    air = sky(canvas, horizon, BRIGHT, 0.4)
    picture, words = behind(canvas, air, horizon, winter=True)
    white, tint = canvas.vary((0.93, 0.95, 0.99), 0.02), np.maximum(air.tint, 0.3)
    shadow = colour(0.66, 0.74, 0.88) * tint
    for i in range(canvas.count(1, 4)):
        base = horizon + (1 - horizon) * 0.3 * i
        edge = base - 0.035 * (i + 0.4) * canvas.profile(2.2)
        below = np.clip((canvas.y - edge) / 0.35, 0, 1)
        drift = mix(white * tint, shadow, np.clip(0.75 * below + 0.14 * canvas.noise(1.8, 1, 3), 0, 0.9))
        picture = mix(picture, drift, edge_mask(canvas, edge, 0.012))
    if canvas.chance(0.35):
        for side in (0, 1):
            edge, _ = peaks(canvas, 0.24, canvas.between(0.45, 0.6), 0.4, 1.3)
            fir = edge + 0.05 * np.sin(canvas.y * 48) * 0.5
            wood = mix(
                (0.24, 0.33, 0.34) * tint,
                white * tint,
                smoothstep(0.0, 0.7, np.sin(canvas.y * 48 + 2 * canvas.noise(1.6))),
            )
            rim = smoothstep(0.34, 0.24, np.abs(canvas.x - side))
            mask = edge_mask(canvas, fir, 0.012) * rim * smoothstep(horizon + 0.25, horizon + 0.15, canvas.y)
            picture = mix(picture, wood, mask)
        words = canvas.pick(("with snowy fir trees", "with snow covered trees", "with fir trees"))
    picture = mix(picture, air.haze, np.broadcast_to(air.fog * 0.7 * smoothstep(1, 0.3, canvas.y), picture.shape[:2]))
    if air.hour != "day" and canvas.chance(0.5):
        picture = canvas.discs(
            picture, canvas.count(25, 60), (1.5, 4), ((0.97, 0.98, 1),), opacity=(0.4, 0.9), light=False
        )
        words = canvas.pick(("with falling snow", "while it snows", "with snowflakes", "in snowfall"))
    phrase = "".join(air.details[:1])
    phrase = "" if "summer" in phrase or "rain" in phrase else phrase
    names: tuple[str, ...] = (
        "snowy field", "snow landscape", "winter landscape", "winter field", "snow covered field", "snow",
        "snowy landscape", "winter scenery", "winter scene", "snowy hills", "fresh snow", "white winter landscape",
    )  # fmt: skip
    return Drawn(picture, canvas.pick(names[:-1] if air.hour != "day" else names), said(phrase, words), (0.3, 2.0))


GREENS: tuple[tuple[Rgb, Rgb, str], ...] = (
    ((0.14, 0.36, 0.12), (0.78, 0.92, 0.45), "green"),
    ((0.3, 0.5, 0.16), (0.95, 0.98, 0.6), "green"),
    ((0.05, 0.2, 0.1), (0.4, 0.65, 0.35), "dark green"),
    ((0.34, 0.37, 0.15), (0.95, 0.88, 0.5), "olive"),
    ((0.45, 0.66, 0.42), (0.93, 0.99, 0.85), "mint"),
)


def greenery(canvas: Canvas) -> Drawn:
    """Foliage far out of focus with discs of light, over a lawn at times."""
    dark, light, key = canvas.pick(GREENS)
    shade, shine = canvas.vary(dark, 0.06), canvas.vary(light, 0.04)
    gx, gy = canvas.between(0, 1), canvas.between(-0.1, 0.6)
    glow = np.exp(-((canvas.distance(gx, gy) / canvas.between(0.35, 0.7)) ** 2))
    picture = mix(shade, shine, np.clip(0.75 * glow + 0.2 * canvas.noise(1.9), 0, 1))
    mass = smoothstep(0.2, 1.1, canvas.noise(1.8))
    picture = mix(picture, shade * 0.6, mass * canvas.between(0.4, 0.8))
    words, kind = "", canvas.pick(("", "lawn", "leaves", ""))
    if kind == "lawn":
        floor = canvas.between(0.62, 0.82)
        mask, _ = trunks(canvas, canvas.count(1, 4), 0.06, floor + 0.03)
        picture = mix(picture, (0.2, 0.16, 0.1), mask * 0.55)
        lawn = mix(shade, shine, 0.45) * (1 + 0.08 * canvas.noise(1.6, 1, 3))[..., None]
        picture = mix(picture, lawn, edge_mask(canvas, floor - 0.01 * canvas.profile(2), 0.03))
        words = canvas.pick(("with grass", "with a lawn", "with a green lawn", "in a park"))
    picture = blur(picture, canvas.between(2, 4))
    tones = (shine, mix(shine, (1, 1, 0.9), 0.5), mix(shade, shine, 0.6))
    large = canvas.between(7, 16)
    strong = (0.15, canvas.between(0.4, 0.7))
    picture = canvas.discs(
        picture, canvas.count(8, 34), (large * 0.5, large), tones, bottom=0.75, opacity=strong, rim=0.4
    )
    if kind == "leaves":
        near = stamp(
            canvas, picture.copy(), leaf, canvas.count(20, 34), (10, 18), (shade, mix(shade, shine, 0.5), shade * 0.7)
        )
        picture = mix(picture, blur(near, 1.5), smoothstep(0.36, 0.5, canvas.distance(canvas.between(0.4, 0.6), 0.6)))
        words = canvas.pick(("with leaves", "framed by leaves", "with leaves at the edges"))
    elif not words:
        words = canvas.pick(
            ("", "with light spots", "with bokeh", "with sunlight", "with round highlights", "in a park")
        )
    names: tuple[str, ...] = (
        "greenery", "green foliage", "blurred green foliage", "green bokeh", "green leaves",
        "green nature background", "green park", "green trees out of focus", "lush greenery", "nature background",
        "green garden", "foliage",
    )  # fmt: skip
    subject = canvas.pick(names)
    if "green " in subject and key != "green" and canvas.chance(0.5):
        name = key if canvas.chance(0.5) else canvas.pick(SYNONYMS[key])
        return Drawn(picture, subject.replace("green ", name + " ", 1), said(words), (0.5, 3.0))
    return Drawn(picture, subject, said(words), (0.5, 3.0))


def branches(canvas: Canvas, picture: Picture, number: int, rgb: Picture) -> tuple[Picture, Picture]:
    """Branches that grow in from the edges: (picture, how near each point is to one, 0 to 1)."""
    near = np.zeros((canvas.height, canvas.width), np.float32)
    wobble = 0.05 * canvas.noise(2.0)
    for _ in range(number):
        angle = canvas.between(-0.7, 0.7) + canvas.pick((0.0, np.pi))
        cx, cy = canvas.between(0.1, 0.9), canvas.pick((canvas.between(0, 0.3), canvas.between(0, 0.85)))
        off = canvas.along(angle + np.pi / 2, cx, cy) + wobble + 0.25 * canvas.along(angle, cx, cy) ** 2
        length = smoothstep(0.5, 0.2, canvas.along(angle, cx, cy))
        picture = mix(picture, rgb, smoothstep(0.016, 0.008, np.abs(off)) * length * 0.8)
        near = np.maximum(near, np.exp(-((off / 0.11) ** 2)) * length)
    return picture, near


def blossom(canvas: Canvas) -> Drawn:
    """Branches of cherry blossom before a pale sky or green."""
    white = canvas.chance(0.35)
    petal = canvas.vary((0.98, 0.95, 0.95) if white else canvas.pick(((0.97, 0.72, 0.8), (0.94, 0.56, 0.7))), 0.02)
    back, place = canvas.pick((((0.62, 0.8, 0.94), "against a blue sky"), ((0.55, 0.7, 0.4), "with green behind"),
                               ((0.96, 0.84, 0.87), ""), ((0.86, 0.88, 0.92), "")))  # fmt: skip
    if place == "" and white:
        back, place = (0.5, 0.62, 0.72), ""
    base = canvas.vary(back, 0.03)
    picture = base * (1 + 0.06 * canvas.noise(2))[..., None]
    picture = mix(picture, (1, 0.98, 0.95), np.exp(-((canvas.distance(canvas.between(0, 1), 0) / 0.5) ** 2)) * 0.6)
    soft = (petal, mix(petal, base, 0.4))
    picture = canvas.discs(picture, canvas.count(8, 24), (7, 14), soft, opacity=(0.15, 0.55), light=False)
    picture, near = branches(canvas, picture, canvas.count(2, 5), canvas.vary((0.3, 0.2, 0.18)))
    tones = (petal, petal * 0.9, mix(petal, (1, 1, 1), 0.5))
    heart = (0.85, 0.45, 0.5) if canvas.chance(0.6) else None
    picture = stamp(canvas, picture, bloom, canvas.count(90, 140), (6, 9), tones, heart=heart, where=near + 0.1)
    name = "white" if white else canvas.pick(("pink", "pink", "light pink", "pale pink"))
    names: tuple[str, ...] = (
        "{} cherry blossom", "{} blossoms", "cherry blossoms", "{} spring blossoms", "blossoming cherry tree",
        "{} cherry blossoms", "sakura", "branches with {} blossom", "{} flowering tree", "spring blossom",
        "blooming cherry branches", "{} sakura",
    )  # fmt: skip
    form = canvas.pick(names)
    words = canvas.pick((place, place, "in spring", ""))
    return Drawn(picture, form.format(name), said(words), (0.3, 2.0))


def lake(canvas: Canvas) -> Drawn:
    """Still water that mirrors its far shore: trees, hills or mountains."""
    shore = canvas.between(0.38, 0.62)
    air = sky(canvas, shore)
    kind = canvas.pick(("hills", "trees", "mountains", "autumn trees"))
    picture = air.picture
    if kind == "mountains":
        for i, snow_line in enumerate((0.1, -9)):
            rock = canvas.vary((0.34, 0.38, 0.45) if i == 0 else (0.22, 0.32, 0.24))
            mask, face = ridge(canvas, air, shore + 0.02, 0.34 - 0.18 * i, rock, snow_line)
            picture = mix(picture, mix(face, air.haze, 0.35 - 0.25 * i), mask)
    elif kind == "hills":
        for i in range(3):
            edge = shore - canvas.between(0.05, 0.09) * (2.2 - i) - 0.03 * canvas.profile(1.9)
            hill = canvas.vary((0.24, 0.38, 0.24), 0.06) * air.tint
            picture = mix(picture, mix(hill, air.haze, 0.5 - 0.22 * i), edge_mask(canvas, edge))
    if "trees" in kind or canvas.chance(0.4):
        edge = tree_line(
            canvas,
            shore,
            canvas.between(0.08, 0.3 if "trees" in kind else 0.12),
            kind == "trees" and canvas.chance(0.6),
        )
        tone = canvas.vary(canvas.pick(AUTUMN[:3]) if kind == "autumn trees" else (0.12, 0.27, 0.13)) * air.tint
        crowns = tone * (1 + 0.25 * canvas.noise(1.5))[..., None]
        picture = mix(picture, mix(crowns, air.haze, 0.1), edge_mask(canvas, edge))
    picture = mix(picture, air.haze, air.fog * 0.8)
    depth = np.clip((canvas.y - shore) / (1 - shore), 0, 1)
    water = mix(
        reflect(canvas, picture, shore, canvas.between(0.2, 1.6)) * 0.86,
        colour(0.1, 0.22, 0.28) * air.tint,
        0.3 * depth,
    )
    bands = canvas.noise(1.6, 0.5, 5)
    water = water * (1 + 0.06 * bands)[..., None]
    water = mix(water, air.haze, np.exp(-(((canvas.y - shore) / 0.012) ** 2)) * 0.4)
    picture = mix(picture, water, edge_mask(canvas, shore, 0.005))
    if canvas.chance(0.3):
        bank = canvas.between(0.86, 0.96) - 0.03 * canvas.profile(1.7)
        grass = canvas.vary(canvas.pick(((0.28, 0.4, 0.15), (0.5, 0.47, 0.42)))) * air.tint
        picture = mix(picture, grass * (1 + 0.15 * canvas.noise(1.4))[..., None], edge_mask(canvas, bank, 0.015))
    words = canvas.pick(
        (f"with {kind}", f"with {kind} behind", f"surrounded by {kind}", "with reflections", "with a reflection")
    )
    names: tuple[str, ...] = (
        "lake", "calm lake", "lake shore", "still lake", "lake landscape", "lakeside", "calm water of a lake",
        "lake view", "quiet lake", "lake with reflections", "mirror lake",
    )  # fmt: skip
    names += ("mountain lake", "alpine lake") if kind == "mountains" else ("forest lake",) if kind == "trees" else ()
    return Drawn(picture, canvas.pick(names), said(*air.details[:1], words), (0.2, 1.8))


SCENES: tuple[tuple[str, Callable[[Canvas], Drawn], float], ...] = (
    ("beach", beach, 1.3),
    ("ocean", ocean, 0.9),
    ("sky", open_sky, 1.1),
    ("stars", stars, 0.8),
    ("mountain", mountain, 1.3),
    ("forest", forest, 1.8),
    ("autumn", autumn, 0.9),
    ("garden", garden, 1.0),
    ("meadow", meadow, 1.2),
    ("lavender", lavender, 0.6),
    ("desert", desert, 0.9),
    ("snow", snow, 0.9),
    ("greenery", greenery, 1.3),
    ("blossom", blossom, 0.8),
    ("lake", lake, 1.0),
)
