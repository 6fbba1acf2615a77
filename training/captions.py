"""Captions in the many orders and wordings that people use."""

from __future__ import annotations

import numpy as np

from training.canvas import Canvas, Drawn

_PREFIXES = (
    "", "", "", "", "a", "a", "the", "blurred", "soft focus", "out of focus", "a blurred", "a photo of a",
    "background of", "defocused", "photo of", "picture of", "blurry", "a soft", "view of", "a view of the",
    "in front of a", "standing in a", "at the", "on a", "in the", "with", "behind me a", "an image of",
    "put me in front of", "place it on", "i want", "make the background", "change the background to", "backdrop of",
    "portrait in front of", "product photo on", "as if at", "against a", "next to", "somewhere at", "just a",
    "my product on", "she is standing in", "taken at", "scene with", "could you show me", "give us", "something like",
    "it should look like", "pretend we are at", "replace what is behind us with", "let's have", "we need", "imagine",
    "as though he were at", "try", "some", "there should be", "how about", "i would love", "please use",
)  # fmt: skip

_SUFFIXES = (
    "", "", "", "", "", "", "background", "backdrop", "behind", "in the background", "soft focus", "bokeh blur",
    "blurred background", "out of focus", "shallow depth of field", "photo", "photography", "scene", "behind me",
    "please", "professional photo", "portrait background", "product photography", "as background", "behind the subject",
    "around it", "behind them", "behind her", "all around", "far behind", "and nothing else", "very blurred",
)  # fmt: skip

# Subjects of the photo, which a prompt may name and which must not be painted.
_BYSTANDERS = (
    "woman", "man", "my dog", "cat", "a bottle", "my friend", "a mug", "couple", "child", "a shoe", "model",
    "family", "perfume bottle", "my car", "person", "girl", "a watch", "headshot", "portrait", "a cup", "our product",
    "my grandmother", "two kids", "the bride", "a horse", "the puppy", "our team", "these headphones", "a lamp",
    "a handbag", "his guitar", "my bicycle", "a toy robot", "the baker", "a dancer", "a nurse", "an old man",
    "my sister", "a plate of pasta", "the cake", "a jar of honey", "sunglasses", "a teddy bear", "my husband",
    "the players",
)  # fmt: skip

# What else people write, which says nothing of the place.
_ASIDES = (
    "for my portfolio", "for the catalogue", "for a birthday card", "for our shop", "for the website", "for instagram",
    "smiling at the camera", "jumping", "laughing", "drinking tea", "wearing a hat", "in a long dress",
    "holding a phone", "looking away", "dancing", "playing", "sleeping", "eating", "on holiday", "in uniform",
    "with a friend",
    "beautiful", "nice", "realistic", "very detailed", "high quality", "award winning", "natural", "elegant", "calm",
    "romantic", "cheerful", "peaceful", "stylish", "simple", "tasteful", "fresh", "professional", "like in a magazine",
    "nothing fancy", "not too busy", "a lot of it", "really big", "far away", "close up", "if possible", "thank you",
    "as if it were real", "the way it was back then", "like last year", "that would be great", "just for fun",
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
    if canvas.chance(0.25):
        words.insert(canvas.pick((0, len(words))), canvas.pick(_ASIDES))
    if canvas.chance(0.18):
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
