"""How good a model folder is, in figures: it paints through the engine as shipped, and what it paints is measured.

Prompts and seeds are fixed, so two folders are asked for the same pictures.  The figures whose names end in
`_drawn` are the same measures of drawn pictures: what a perfect imitator of the training set would get.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from tqdm import tqdm

from cyclorama import BackgroundGenerator, NoSubject
from cyclorama.engine.diffusion.networks import VAE
from cyclorama.engine.matting.subject import find_subject
from cyclorama.engine.options import Preset
from cyclorama.engine.scene import Scene
from cyclorama.models.catalogue import SHIPPED_MASK_MODELS
from cyclorama.models.store import named_or_folder
from training import latent, photos, readers, scenes, subjects
from training.canvas import Canvas
from training.palette import COLOURS

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Shape = tuple[int, int]  # height and width in pixels

SIDE = 256
OTHER_SHAPES: tuple[Shape, ...] = ((128, 128), (384, 384), (192, 384), (384, 192))
STUDIO_COLOURS = ("grey", "white", "black", "red", "orange", "yellow", "green", "blue", "purple", "pink")
STUDIO_PHRASES = ("plain {} studio backdrop", "a {} studio background", "photo studio with a {} paper backdrop")
EXTENSION_SCENES = ("beach", "livingroom", "street", "studio")
SEAM_CELLS = 2  # the band along the subject's edge, in latent cells
CLEAR_CELLS = 3  # so far from the edge, nothing of the subject should be left
_SEED = 770_003  # of everything drawn here: far from the training set's and the reader's
_HERE = Path(__file__).parent


def _texts(name: str) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = json.loads((_HERE / name).read_text(encoding="utf-8"))
    return texts


def plain_prompts() -> dict[str, list[str]]:
    """Four everyday prompts for every scene."""
    return _texts("prompts.json")


def paraphrases() -> dict[str, list[str]]:
    """Two freer wordings for every scene, by a hand that knew nothing of the captions.

    Who wrote the captions' latest additions had read them, so the third nano's figure is not quite blind.
    """
    return _texts("paraphrases.json")


@dataclass
class Painter:
    """A loaded model, and how it is asked."""

    generator: BackgroundGenerator
    preset: Preset | None = None
    _painted: dict[tuple[str, int, Shape], Pixels] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, model: str | Path, preset: Preset | None = None) -> Painter:
        """By name or folder; the model's own preset where none is named."""
        return cls(BackgroundGenerator.load(named_or_folder(model)), preset)

    def paint(self, prompt: str, seed: int, shape: Shape = (SIDE, SIDE)) -> Pixels:
        """A picture without a subject, (*shape, 3); kept for the next time.

        Painted at that size, but for SIDE x SIDE, which is asked of every model and painted at its own.
        """
        if (prompt, seed, shape) not in self._painted:
            self._painted[prompt, seed, shape] = self.background(self._empty(shape), prompt, seed)
        return self._painted[prompt, seed, shape]

    def background(self, scene: Scene, prompt: str, seed: int) -> Pixels:
        """What is painted for a scene, the subject not pasted over it: (H, W, 3) of the photo's size."""
        return np.asarray(self.generator.generate(scene, prompt, self.preset, seed=seed).background)

    def _empty(self, shape: Shape) -> Scene:
        # The engine wants a subject. This one is the lowest rows, of the grey that stands for "unknown", and
        # the mask is sampled at each cell's first pixel: the network is shown a blank canvas.
        subject = np.zeros(shape, np.uint8)
        subject[-6:] = 255
        size = None if shape == (SIDE, SIDE) else round((shape[0] * shape[1]) ** 0.5)
        return self.generator.prepare(np.full((*shape, 3), 128, np.uint8), mask=subject, size=size)


def _progress(items: Sequence[Any], what: str) -> Iterable[Any]:
    progress: Iterable[Any] = tqdm(items, desc=what, unit="picture")
    return progress


def _some(items: Sequence[Any], quick: bool) -> Sequence[Any]:
    """Every fourth, if it has to be quick."""
    return items[::4] if quick else items


def _rng(*purpose: int) -> np.random.Generator:
    return np.random.default_rng([_SEED, *purpose])


def _bytes(picture: NDArray[np.float32]) -> Pixels:
    return np.clip(np.round(picture * 255), 0, 255).astype(np.uint8)


# --- what was asked for: the scene, and the colour


def prompt_following(
    painter: Painter, reader: readers.Reader, prompts: dict[str, list[str]], quick: bool, what: str
) -> dict[str, Any]:
    """Share of pictures that the reader takes for the scene asked for, over all and by scene; and what else it saw."""
    asked = [(scene, prompt, i) for scene, texts in prompts.items() for i, prompt in enumerate(texts)]
    if quick:  # each scene as far as that goes, by turns its first prompt or a later one
        asked = [(scene, texts[i // 2 % len(texts)], i) for i, (scene, texts) in enumerate(prompts.items())]
        asked = asked if len(next(iter(prompts.values()))) > 2 else asked[::2]
    pictures = [painter.paint(prompt, seed) for _, prompt, seed in _progress(asked, what)]
    seen = [scenes.SCENES[index] for index in reader.read(pictures)]
    right: dict[str, list[bool]] = {}
    for (scene, _, _), name in zip(asked, seen, strict=True):
        right.setdefault(scene, []).append(scene == name)
    return {
        "top1": float(np.mean([hit for hits in right.values() for hit in hits])),
        "pictures": len(asked),
        "by_scene": {scene: float(np.mean(hits)) for scene, hits in right.items()},
        "mistaken": [
            {"scene": scene, "prompt": prompt, "seen": name}
            for (scene, prompt, _), name in zip(asked, seen, strict=True)
            if scene != name
        ],
    }


def other_shapes(painter: Painter, reader: readers.Reader, quick: bool) -> dict[str, Any]:
    """Share of pictures of other sizes and aspects that the reader takes for the scene asked for."""
    asked = [(scene, texts[0]) for scene, texts in plain_prompts().items()]
    some, shares = _some(asked, quick), {}
    for shape in OTHER_SHAPES:
        pictures = [painter.paint(prompt, 0, shape) for _, prompt in _progress(some, "{}x{}".format(*shape))]
        seen = [scenes.SCENES[index] for index in reader.read(pictures)]
        hits = [scene == name for (scene, _), name in zip(some, seen, strict=True)]
        shares["{}x{}".format(*shape)] = float(np.mean(hits))
    return {**shares, "pictures": len(OTHER_SHAPES) * len(some)}


def lab(rgb: Array) -> Array:
    """sRGB in [0, 1] -> CIELAB under D65, any shape (..., 3). IEC 61966-2-1 and CIE 15:2004."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def nearest_colour(picture: Pixels) -> str:
    """The one of STUDIO_COLOURS that is nearest, in CIELAB, to the picture's mean colour."""
    mean = lab(picture.reshape(-1, 3).mean(0) / 255)
    named = lab(np.array([COLOURS[name] for name in STUDIO_COLOURS], np.float64))
    return STUDIO_COLOURS[int(np.linalg.norm(named - mean, axis=1).argmin())]


def colour_following(painter: Painter, quick: bool) -> dict[str, Any]:
    """Share of studio backdrops whose mean colour is nearest to the one asked for."""
    wordings = [(phrase, seed) for phrase in STUDIO_PHRASES for seed in (0, 1)]
    asked = [
        (colour, phrase.format(colour), seed)
        for i, colour in enumerate(STUDIO_COLOURS)
        for phrase, seed in (wordings if not quick else [wordings[i % 6], wordings[(i + 3) % 6]])
    ]
    seen = [nearest_colour(painter.paint(prompt, seed)) for _, prompt, seed in _progress(asked, "colours")]
    right = [(colour, colour == name) for (colour, _, _), name in zip(asked, seen, strict=True)]
    return {
        "top1": float(np.mean([hit for _, hit in right])),
        "pictures": len(asked),
        "by_colour": {c: float(np.mean([hit for colour, hit in right if colour == c])) for c in STUDIO_COLOURS},
        "mistaken": [
            {"prompt": prompt, "seen": name}
            for (colour, prompt, _), name in zip(asked, seen, strict=True)
            if colour != name
        ],
    }


# --- how like the real thing: the distance between features


@lru_cache(maxsize=1)
def _u2netp_encoder() -> Callable[[Pixels], Array]:
    """u2netp up to its deepest encoder stage, (64, 10, 10), averaged over the picture: (64,) features."""
    import onnx
    import onnxruntime

    output, sides, mean, std = "1293", (320, 320), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    model = onnx.load(SHIPPED_MASK_MODELS["u2netp"])
    makers = {name: node for node in model.graph.node for name in node.output}
    wanted, needed = [output], set()
    while wanted:
        node = makers.get(wanted.pop())
        if node is not None and node.output[0] not in needed:
            needed.add(node.output[0])
            wanted += node.input
    nodes = [node for node in model.graph.node if node.output[0] in needed]
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    model.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # the weights of the nodes that went are unused, and it says so for each
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def features(picture: Pixels) -> Array:
        pixels = np.asarray(Image.fromarray(picture).resize(sides, Image.Resampling.LANCZOS), np.float64)
        normal = ((pixels / max(pixels.max(), 1e-6) - mean) / std).astype(np.float32)
        (stage,) = session.run([output], {session.get_inputs()[0].name: normal.transpose(2, 0, 1)[None]})
        return np.asarray(stage[0].mean((1, 2)), np.float64)

    return features


def _features(pictures: Sequence[Pixels], what: str) -> Array:
    encoder = _u2netp_encoder()
    return np.stack([encoder(picture) for picture in _progress(pictures, what)])


def shrunk_covariance(samples: Array) -> Array:
    """The covariance (D, D) of samples (N, D), drawn to a multiple of the identity (Ledoit & Wolf, 2004)."""
    n, d = samples.shape
    centred = samples - samples.mean(0)
    covariance = centred.T @ centred / n
    level = np.trace(covariance) / d
    spread = ((covariance - level * np.eye(d)) ** 2).sum()
    noise = ((centred**2).sum(1) ** 2).sum() / n**2 - (covariance**2).sum() / n
    share = min(1.0, max(0.0, noise / max(spread, 1e-12)))
    return np.asarray((1 - share) * covariance + share * level * np.eye(d))


def frechet_distance(a: Array, b: Array) -> float:
    """Between Gaussian fits of features (N, D) and (M, D): |mean difference|² + tr(A + B - 2 (A B)^½)."""
    first, second = shrunk_covariance(a), shrunk_covariance(b)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * cross)


def _unseen(photo_cache: Path, purpose: int, number: int) -> list[tuple[Pixels, str]]:
    """Pictures (SIDE, SIDE, 3) that were not trained on, three drawn ones to a photograph's crop.

    Their captions are of the training set's kind; a photograph's few captions are the very same.
    """
    rng, known, found = _rng(purpose), readers.known_photos(), []
    for i in range(number):
        if i % 4 == 3:
            picture, said = photos.crop(known[i // 4 % len(known)], photo_cache, rng, SIDE, SIDE, held_out=True)
        else:
            example = scenes.example(rng, SIDE, SIDE)
            picture, said = example.picture, example.caption
        found.append((_bytes(picture), said))
    return found


def feature_distance(painter: Painter, photo_cache: Path, quick: bool) -> dict[str, Any]:
    """Fréchet distance between u2netp's features of painted pictures and of unseen ones, in the latter's deviations.

    `distance_drawn` is between two sets of unseen pictures: with so few it is not 0.  Only figures of
    equal `pictures` can be compared.
    """
    number = 60 if quick else 240
    unseen = _unseen(photo_cache, 1, 120 if quick else 320)
    asked = _unseen(photo_cache, 2, number)
    painted = [painter.paint(said, i) for i, (_, said) in enumerate(_progress(asked, "captions"))]
    reference = _features([picture for picture, _ in unseen], "features of unseen pictures")
    scale = reference.std(0) + 1e-6
    others = _features([picture for picture, _ in asked], "features of others")
    features = _features(painted, "features of painted pictures")
    return {
        "distance": frechet_distance(features / scale, reference / scale),
        "distance_drawn": frechet_distance(others / scale, reference / scale),
        "pictures": number,
    }


# --- the subject's surroundings: seams, and more of the subject


def smooth_residual(picture: Pixels, fit: Mask) -> Array:
    """(H, W), 0 to 255: how far a picture is from the quadratic surface through its pixels in `fit`."""
    height, width, _ = picture.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    weights, *_ = np.linalg.lstsq(terms[fit], picture[fit].astype(np.float64), rcond=None)
    return np.asarray(np.abs(picture - terms @ weights).mean(-1))


def _stand_ins(side: int) -> Iterator[tuple[Pixels, Mask]]:
    """Endless photos (side, side, 3) of made-up subjects in front of some scene, and where the subject is."""
    canvas = Canvas(_rng(3, side), side, side)
    while True:
        shape = subjects.subject(canvas)
        texture = scenes.example(canvas.rng, side, side).picture if canvas.chance(0.6) else None
        behind = scenes.example(canvas.rng, side, side).picture
        clear = ndimage.distance_transform_edt(~shape) > CLEAR_CELLS * latent.CELL
        if shape.mean() > 0.03 and clear.mean() > 0.35:
            yield _bytes(np.where(shape[..., None], subjects.filled(canvas, shape, texture), behind)), shape


def seam(painter: Painter, quick: bool) -> dict[str, Any]:
    """How much rougher a studio backdrop is along the subject's edge than away from it; 1 is no seam.

    Roughness is the distance from a smooth surface.  The ratio is of means over all pictures.
    """
    side = painter.generator.folder.native_size
    asked = [(f"plain {colour} studio backdrop", seed) for seed in (0, 1, 2) for colour in STUDIO_COLOURS]
    stand_ins, rng = _stand_ins(side), _rng(4)
    measured: dict[str, list[tuple[float, float]]] = {"painted": [], "drawn": []}
    for prompt, seed in _progress(_some(asked, quick), "seams"):
        photo, shape = next(stand_ins)
        scene = painter.generator.prepare(photo, mask=shape.astype(np.uint8) * 255)
        distance = ndimage.distance_transform_edt(~shape)
        interior = distance > CLEAR_CELLS * latent.CELL
        band = (distance > 0) & (distance <= SEAM_CELLS * latent.CELL)
        drawn = _bytes(scenes.example(rng, side, side, scene="studio").picture)
        for name, picture in (("painted", painter.background(scene, prompt, seed)), ("drawn", drawn)):
            residual = smooth_residual(picture, interior)
            measured[name].append((float(residual[band].mean()), float(residual[interior].mean())))
    return {
        "ratio": _ratio(measured["painted"]),
        "ratio_drawn": _ratio(measured["drawn"]),
        "band": float(np.mean([near for near, _ in measured["painted"]])),
        "interior": float(np.mean([far for _, far in measured["painted"]])),
        "pictures": len(measured["painted"]),
    }


def _ratio(pairs: list[tuple[float, float]]) -> float:
    return float(sum(a for a, _ in pairs) / sum(b for _, b in pairs))


def _mask(rgb: Pixels) -> Mask:
    """Where u2netp sees a subject; nowhere, if it sees none."""
    try:
        return np.asarray(find_subject(rgb) > 127)
    except NoSubject:
        return np.zeros(rgb.shape[:2], np.bool_)


def _real_photos() -> list[Pixels]:
    """Nine photographs with one subject that need no download: those of docs/photos and three of scikit-image's."""
    from skimage import data

    folder = _HERE.parent / "docs" / "photos"
    ours = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.jpg"))]
    grey = np.asarray(Image.fromarray(data.camera()).convert("RGB"))
    return [*ours, grey, np.asarray(data.rocket()), np.asarray(data.stereo_motorcycle()[0])]


def _varied(photo: Pixels, mask: Mask, rng: np.random.Generator) -> Pixels:
    """The subject, larger or smaller, perhaps mirrored, elsewhere on a drawn plain background: (SIDE, SIDE, 3)."""
    rows, columns = np.nonzero(mask)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    cut = Image.fromarray(np.dstack([photo, mask.astype(np.uint8) * 255])).crop(box)
    scale = SIDE * float(rng.uniform(0.4, 0.8)) / max(cut.size)
    cut = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.Resampling.LANCZOS)
    if rng.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    plain = Image.fromarray(_bytes(scenes.example(rng, SIDE, SIDE, scene="studio").picture))
    # A subject that the photo cuts off below has to stand at the lower edge here too.
    left = int(rng.integers(SIDE - cut.width + 1))
    top = SIDE - cut.height if box[3] == len(mask) else int(rng.integers(SIDE - cut.height + 1))
    plain.paste(cut.convert("RGB"), (left, top), cut.getchannel("A"))
    return np.asarray(plain)


def _cropped(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """A random square of a photo, perhaps mirrored: (SIDE, SIDE, 3)."""
    height, width, _ = photo.shape
    side = round(min(height, width) * float(rng.uniform(0.75, 1)))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    part = photo[top : top + side, left : left + side][:, :: int(rng.choice((1, -1)))]
    return np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def subject_photos(number: int) -> list[tuple[Pixels, Mask]]:
    """Photos (SIDE, SIDE, 3) of few real subjects in many places, and u2netp's masks of them.

    A quarter are crops of the photographs; in the others the subject stands on a drawn backdrop.
    """
    rng = _rng(5)
    found: list[tuple[Pixels, Mask]] = []
    real = [(photo, _mask(photo)) for photo in _real_photos()]
    real = [(photo, mask) for photo, mask in real if 0.02 < mask.mean() < 0.7]
    while len(found) < number:
        photo, cut = real[int(rng.integers(len(real)))]
        varied = _cropped(photo, rng) if rng.random() < 0.25 else _varied(photo, cut, rng)
        mask = _mask(varied)
        if 0.04 < mask.mean() < 0.5:
            found.append((varied, mask))
    return found


def extension(painter: Painter, quick: bool) -> dict[str, Any]:
    """By how much of its area a subject seems to grow in what is painted: area(m_out - m_in) / area(m_in).

    m_in is u2netp's mask of the photo, m_out that of the painted picture: of the finished one, with the subject's
    own pixels in it, or (`unpasted`) as the model painted it.  `lost`: the share of unpasted pictures whose m_out
    touches less than half of m_in.  There the model painted the scene and no subject, and the growth is whatever
    else u2netp took for one.  `unpasted_drawn` is that of a drawn scene behind the subject, through the VAE.
    """
    prompts, rng = plain_prompts(), _rng(6)
    cases = subject_photos(10 if quick else 40)
    vae = painter.generator.vae
    grown, unpasted, drawn_grown, lost = [], [], [], []
    for i, (photo, mask) in enumerate(_progress(cases, "subjects")):
        scene = painter.generator.prepare(photo, mask=mask.astype(np.uint8) * 255)
        kind = EXTENSION_SCENES[i % len(EXTENSION_SCENES)]
        result = painter.generator.generate(scene, prompts[kind][0], painter.preset, seed=i)
        drawn = _bytes(scenes.example(rng, SIDE, SIDE, scene=kind).picture)
        after = _mask(np.asarray(result.background))
        lost.append((after & mask).sum() < 0.5 * mask.sum())
        grown.append(_growth(mask, _mask(np.asarray(result.image))))
        unpasted.append(_growth(mask, after))
        # Through the VAE, too: a subject that stays sharp is found more easily.
        drawn_grown.append(_growth(mask, _mask(_round_trip(vae, np.where(mask[..., None], photo, drawn)))))
    return {
        "mean": float(np.mean(grown)),
        "most": float(np.max(grown)),
        "unpasted": float(np.mean(unpasted)),
        "unpasted_median": float(np.median(unpasted)),
        "unpasted_drawn": float(np.mean(drawn_grown)),
        "lost": float(np.mean(lost)),
        "pictures": len(grown),
    }


def _growth(before: Mask, after: Mask) -> float:
    return float((after & ~before).sum() / before.sum())


# --- variety, and the autoencoder


def _mean_difference(pictures: Sequence[Pixels]) -> float:
    """Mean L1 distance, 0 to 1, over all pairs of thumbnails of 16 x 16."""
    small = [Image.fromarray(picture).resize((16, 16), Image.Resampling.BOX) for picture in pictures]
    values = [np.asarray(image, np.float64) / 255 for image in small]
    return float(np.mean([np.abs(a - b).mean() for a, b in combinations(values, 2)]))


def diversity(painter: Painter, quick: bool) -> dict[str, Any]:
    """How much four seeds of one prompt differ, and how much four drawings of that scene do."""
    names, rng = _some(scenes.SCENES[::2], quick), _rng(7)
    painted, drawn = [], []
    for name in _progress(names, "diversity"):
        prompt = plain_prompts()[name][0]
        painted.append(_mean_difference([painter.paint(prompt, seed) for seed in range(4)]))
        examples = [scenes.example(rng, SIDE, SIDE, scene=name).picture for _ in range(4)]
        drawn.append(_mean_difference([_bytes(picture) for picture in examples]))
    return {
        "painted": float(np.mean(painted)),
        "drawn": float(np.mean(drawn)),
        "share": float(np.mean(painted) / np.mean(drawn)),
        "prompts": len(names),
    }


def _round_trip(vae: VAE, picture: Pixels) -> Pixels:
    """Encoded and decoded."""
    image = (picture.astype(np.float32) / np.float32(127.5) - 1).transpose(2, 0, 1)[None]
    decoded = vae.decode(vae.encode(image))[0].transpose(1, 2, 0)
    return np.asarray(np.clip(np.round((decoded + 1) * 127.5), 0, 255), np.uint8)


def round_trip(painter: Painter, photo_cache: Path, quick: bool) -> dict[str, Any]:
    """PSNR in dB, mean over unseen pictures, of the engine's VAE: encoded and decoded."""
    vae = painter.generator.vae
    unseen = _unseen(photo_cache, 8, 16 if quick else 64)
    decibels = []
    for picture, _ in _progress(unseen, "VAE"):
        error = (_round_trip(vae, picture).astype(np.float64) - picture) / 255
        decibels.append(-10 * np.log10(float((error**2).mean()) + 1e-12))
    return {
        "psnr": float(np.mean(decibels)),
        "psnr_drawn": float(np.mean([value for i, value in enumerate(decibels) if i % 4 != 3])),
        "psnr_photographed": float(np.mean(decibels[3::4])),
        "pictures": len(decibels),
    }


# --- all of it


def evaluate(
    model: str | Path, work: Path, *, preset: Preset | None = None, quick: bool = False
) -> dict[str, dict[str, Any]]:
    """All figures of a model. `work` holds the photographs and the trained reader; `quick` takes a quarter."""
    painter, reader, cache = Painter.load(model, preset), readers.load(work), work / "photos"
    return {
        "prompts": prompt_following(painter, reader, plain_prompts(), quick, "plain prompts"),
        "colours": colour_following(painter, quick),
        "paraphrases": prompt_following(painter, reader, paraphrases(), quick, "paraphrases"),
        "other shapes": other_shapes(painter, reader, quick),
        "u2netp feature distance": feature_distance(painter, cache, quick),
        "seam": seam(painter, quick),
        "object extension": extension(painter, quick),
        "diversity": diversity(painter, quick),
        "VAE": round_trip(painter, cache, quick),
    }


def table(figures: dict[str, dict[str, Any]]) -> str:
    """The figures, a line each: what was measured, of how many pictures, and the values."""
    lines = []
    for measure, values in figures.items():
        count = values.get("pictures", values.get("prompts"))
        numbers = "  ".join(f"{name} {value:.3f}" for name, value in values.items() if isinstance(value, float))
        lines.append(f"{measure:24} {count:4}  {numbers}")
    return "\n".join(lines)


def sheet(model: str | Path, prompts: Sequence[str], seeds: Sequence[int], preset: Preset | None = None) -> Image.Image:
    """A contact sheet: for every prompt its words and below them a picture for every seed, three prompts to a row."""
    painter, tile, gap, line, across = Painter.load(model, preset), 112, 4, 18, 3
    width, height = len(seeds) * (tile + gap) + 3 * gap, tile + line + gap
    page = Image.new("RGB", (across * width, -(-len(prompts) // across) * height), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for i, prompt in enumerate(_progress(prompts, "sheet")):
        left, top = i % across * width, i // across * height
        draw.text((left, top), prompt, fill="black", font=font)
        for column, seed in enumerate(seeds):
            picture = Image.fromarray(painter.paint(prompt, seed)).resize((tile, tile), Image.Resampling.LANCZOS)
            page.paste(picture, (left + column * (tile + gap), top + line))
    return page


def sheet_prompts() -> list[str]:
    """Every scene's first prompt and every studio colour."""
    return [texts[0] for texts in plain_prompts().values()] + [STUDIO_PHRASES[0].format(c) for c in STUDIO_COLOURS]
