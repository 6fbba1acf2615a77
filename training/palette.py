"""Colours by name, and what the hour and the weather do to a scene's light."""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[float, float, float]

# sRGB, 0 to 1.
COLOURS: dict[str, Rgb] = {
    "grey": (0.5, 0.5, 0.5),
    "light grey": (0.75, 0.75, 0.75),
    "dark grey": (0.22, 0.22, 0.23),
    "white": (0.94, 0.94, 0.93),
    "black": (0.05, 0.05, 0.05),
    "beige": (0.85, 0.77, 0.65),
    "cream": (0.95, 0.9, 0.78),
    "blue": (0.18, 0.38, 0.8),
    "navy": (0.06, 0.1, 0.27),
    "light blue": (0.6, 0.78, 0.93),
    "teal": (0.05, 0.45, 0.47),
    "turquoise": (0.2, 0.75, 0.75),
    "green": (0.2, 0.55, 0.25),
    "dark green": (0.06, 0.25, 0.13),
    "olive": (0.42, 0.43, 0.2),
    "mint": (0.68, 0.9, 0.79),
    "red": (0.78, 0.12, 0.12),
    "burgundy": (0.4, 0.05, 0.12),
    "pink": (0.95, 0.6, 0.7),
    "hot pink": (0.92, 0.2, 0.55),
    "purple": (0.45, 0.18, 0.6),
    "lavender": (0.75, 0.68, 0.9),
    "orange": (0.95, 0.5, 0.12),
    "peach": (0.98, 0.76, 0.62),
    "yellow": (0.96, 0.82, 0.2),
    "brown": (0.4, 0.25, 0.15),
    "gold": (0.8, 0.62, 0.25),
}

# Other words for the same colours; the first of each list is not more common than the rest.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "grey": ("gray", "neutral grey", "medium gray"),
    "light grey": ("light gray", "pale grey", "silver grey"),
    "dark grey": ("dark gray", "charcoal", "charcoal grey", "slate"),
    "white": ("pure white", "plain white", "bright white"),
    "black": ("pure black", "jet black", "pitch black"),
    "beige": ("tan", "sand coloured", "khaki"),
    "cream": ("ivory", "off white", "cream coloured"),
    "blue": ("royal blue", "cobalt", "cobalt blue"),
    "navy": ("navy blue", "dark blue", "midnight blue", "deep blue"),
    "light blue": ("pale blue", "sky blue", "baby blue", "pastel blue"),
    "teal": ("dark teal", "petrol", "blue green"),
    "turquoise": ("aqua", "cyan", "aquamarine"),
    "green": ("emerald", "bright green", "emerald green"),
    "dark green": ("forest green", "deep green", "bottle green"),
    "olive": ("olive green", "moss green", "army green"),
    "mint": ("mint green", "pale green", "pastel green", "light green"),
    "red": ("bright red", "scarlet", "crimson"),
    "burgundy": ("dark red", "maroon", "wine red", "deep red"),
    "pink": ("light pink", "rose", "pale pink", "pastel pink"),
    "hot pink": ("magenta", "fuchsia", "bright pink"),
    "purple": ("violet", "deep purple", "plum"),
    "lavender": ("lilac", "light purple", "pale purple", "pastel purple"),
    "orange": ("bright orange", "tangerine", "amber"),
    "peach": ("salmon", "apricot", "light orange"),
    "yellow": ("bright yellow", "lemon", "sunny yellow"),
    "brown": ("chocolate", "dark brown", "chestnut"),
    "gold": ("golden", "mustard", "ochre"),
}


@dataclass(frozen=True)
class Light:
    """An hour and its weather: the sky from top to horizon, the tint of what it shines on, and how people say it."""

    top: Rgb
    horizon: Rgb
    tint: Rgb
    phrases: tuple[str, ...]
    middle: Rgb | None = None


LIGHTS: dict[str, Light] = {
    "day": Light(
        (0.2, 0.45, 0.83),
        (0.76, 0.88, 0.96),
        (1, 1, 0.97),
        ("", "in daylight", "on a sunny day", "at noon", "", "in the daytime", "under a blue sky", "in bright sunshine",
         "on a clear day", "sunny", "at midday", "in summer"),
    ),
    "sunset": Light(
        (0.27, 0.23, 0.46),
        (1.0, 0.74, 0.36),
        (0.95, 0.66, 0.48),
        ("at sunset", "at golden hour", "with a warm orange sky", "in the evening sun", "sunset", "during sunset",
         "as the sun goes down", "in the evening", "in warm evening light", "with the setting sun", "golden hour"),
        middle=(0.9, 0.42, 0.33),
    ),
    "sunrise": Light(
        (0.45, 0.58, 0.82),
        (1.0, 0.86, 0.66),
        (0.98, 0.86, 0.76),
        ("at sunrise", "at dawn", "in the early morning", "in soft morning light", "in the morning", "sunrise",
         "at daybreak", "early in the morning"),
        middle=(0.95, 0.72, 0.7),
    ),
    "dusk": Light(
        (0.07, 0.1, 0.26),
        (0.5, 0.36, 0.5),
        (0.45, 0.43, 0.6),
        ("at dusk", "at twilight", "in the blue hour", "after sunset", "dusk", "just after dark"),
    ),
    "night": Light(
        (0.02, 0.04, 0.11),
        (0.1, 0.16, 0.3),
        (0.24, 0.29, 0.45),
        ("at night", "by night", "under the moon", "in the dark", "in moonlight", "at midnight", "nighttime",
         "late at night"),
    ),
    "overcast": Light(
        (0.58, 0.62, 0.67),
        (0.82, 0.84, 0.86),
        (0.8, 0.82, 0.85),
        ("on a cloudy day", "in overcast light", "on a grey day", "in fog", "on a rainy day", "in the rain", "cloudy",
         "overcast", "on a foggy day", "in the mist", "on a dull day"),
    ),
}  # fmt: skip
