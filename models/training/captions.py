"""Captions in the many orders and wordings that people use."""

from __future__ import annotations

import numpy as np

from models.training.canvas import Canvas, Drawn

_PREFIXES = (
    "", "", "", "", "a", "a", "the", "blurred", "soft focus", "out of focus", "a blurred", "a photo of a",
    "background of", "defocused", "photo of", "picture of", "blurry", "a soft", "view of", "a view of the",
    "in front of a", "standing in a", "at the", "on a", "in the", "with", "behind me a", "an image of",
    "put me in front of", "place it on", "i want", "make the background", "change the background to", "backdrop of",
    "portrait in front of", "product photo on", "as if at", "against a", "next to", "somewhere at", "just a",
    "my product on", "she is standing in", "taken at", "scene with",
)  # fmt: skip

_SUFFIXES = (
    "", "", "", "", "", "", "background", "backdrop", "behind", "in the background", "soft focus", "bokeh blur",
    "blurred background", "out of focus", "shallow depth of field", "photo", "photography", "scene", "behind me",
    "please", "professional photo", "portrait background", "product photography", "as background", "behind the subject",
)  # fmt: skip

# Subjects of the photo, which a prompt may name and which must not be painted.
_BYSTANDERS = (
    "woman", "man", "my dog", "cat", "a bottle", "my friend", "a mug", "couple", "child", "a shoe", "model",
    "family", "perfume bottle", "my car", "person", "girl", "a watch", "headshot", "portrait", "a cup", "our product",
)  # fmt: skip

_JOINERS = (" ", " ", " ", ", ", " and ")


def caption(canvas: Canvas, drawn: Drawn) -> str:
    """One way to ask for what was drawn: subject and details in some order, with or without words around them."""
    details = [detail for detail in drawn.details if detail]
    canvas.rng.shuffle(details)
    keep = details[: canvas.count(0, len(details) + 1)] if canvas.chance(0.25) else details
    before = [d for d in keep if canvas.chance(0.25)]
    after = [d for d in keep if d not in before]
    if canvas.chance(0.25):  # bare, as most people type
        words = [*before, drawn.subject, *after]
    else:
        words = [*before, f"{canvas.pick(_PREFIXES)} {drawn.subject}", *after, canvas.pick(_SUFFIXES)]
    if canvas.chance(0.12):
        who = canvas.pick(_BYSTANDERS)
        words = [who, *words] if canvas.chance(0.7) else [*words, f"with {who}"]
    text = words[0]
    for word in words[1:]:
        text += canvas.pick(_JOINERS) + word if word else ""
    if canvas.chance(0.08):
        text = _with_unknown_words(canvas, text)
    return " ".join(text.split()).strip(" ,")


def _with_unknown_words(canvas: Canvas, text: str) -> str:
    """One or two words that mean nothing, somewhere: the model learns to pass them over."""
    words = text.split()
    for _ in range(canvas.count(1, 3)):
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        words.insert(canvas.count(0, len(words) + 1), "".join(canvas.rng.choice(letters, canvas.count(3, 9))))
    return " ".join(words)
