"""The catalogue: every model that has a name here.

Revisions are commits of the hub's repositories, so that a name means the same weights tomorrow.
Where none is given the newest is taken and the commit is kept in the folder's `cyclorama.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cyclorama.models.errors import ModelNotFound

_HERE = Path(__file__).parent

SHIPPED_MASK_MODELS = {
    "u2net-int8": _HERE / "u2net" / "u2net_int8.onnx",
    "u2netp": _HERE / "u2netp" / "u2netp.onnx",
}
"""The mask networks in the package."""


@dataclass(frozen=True)
class ModelEntry:
    """A model with a name.

    kind: `inpainting` (9-channel UNet), `text-to-image` (4-channel, blended per step), `lora`
    (fused by `export --lora`) or `tiny-vae` (swapped in by `export --tiny-vae`).
    download: bytes to fetch, about; None where unknown until the hub is asked.  preset: the one
    that fits.  file: for a LoRA, its file in the repository; for what is embedded, where what `export` reads
    lies under `models`.  distilled: how a LoRA's weights were.
    exported: a hub repository that is a model folder already, which `pull` then takes, without torch.
    paints, fails_at: what a model of ours is good for, and what not.  card: more on it.
    defaults: more of what the manifest says of a model exported under this name, or fused with this LoRA.
    """

    name: str
    kind: Literal["inpainting", "text-to-image", "lora", "tiny-vae"]
    what: str
    licence: str
    repository: str | None = None
    revision: str | None = None
    download: int | None = None
    preset: str | None = None
    file: str | None = None
    distilled: Literal["lcm", "tcd"] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    embedded: bool = False
    exported: str | None = None
    paints: str | None = None
    fails_at: str | None = None
    card: Path | None = None

    @property
    def manifest_facts(self) -> dict[str, Any]:
        """What an exported model's manifest says beside what was measured: presets and the words it knows."""
        facts = {"preset": self.preset, "paints": self.paints}
        return {**{name: fact for name, fact in facts.items() if fact}, **self.defaults}

    @property
    def shipped(self) -> Path | None:
        """What `export` reads of an embedded model; a clone has it, the wheel does not."""
        return _HERE / self.file if self.embedded and self.file else None

    @property
    def is_part(self) -> bool:
        """Not a model of its own: `export` fuses it or swaps it in."""
        return self.kind in ("lora", "tiny-vae")


_OPENRAIL = "CreativeML OpenRAIL-M: commercial use allowed, with use restrictions to pass on"

_PRESETS = ("fast", "balanced", "quality")


def _turbo(num_inference_steps: int) -> dict[str, Any]:
    """Adversarially distilled models: Euler from the very last timestep, without guidance."""
    return {
        "sampler": "euler",
        "num_inference_steps": num_inference_steps,
        "guidance_scale": 1.0,
        "timestep_spacing": "trailing",
    }


# What Hyper-SD's model card asks for.
_EIGHT_GUIDED_STEPS = {
    "sampler": "ddim",
    "num_inference_steps": 8,
    "guidance_scale": 5.0,
    "timestep_spacing": "trailing",
}

CATALOGUE: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            "nano",
            "inpainting",
            "soft-focus backdrops, trained from scratch for this project; 8.7 M parameters, 256 px",
            "Apache-2.0",
            preset="quality",
            paints="out-of-focus backgrounds: studio backdrops and gradients in named colours, fabric, wood, brick, "
            "marble, concrete, bokeh; beach, ocean, sky, stars, mountains, forest, leaves, flowers, meadow, lavender, "
            "desert, snow, lake; city lights, neon, street, skyline, stage, office, living room, kitchen, cafe, "
            "library",
            fails_at="anything sharp or in detail, people, animals, objects, lettering; places other than these; "
            "sizes under 128 or over 384 px",
            card=_HERE / "nano" / "README.md",
            file="nano/checkpoint",
            defaults={
                "words": {
                    "known_as_a_whole": True,
                    "of_scenes": (_HERE / "nano" / "scene_words.txt").read_text().split(),
                },
                "negative_prompt": "",  # it was trained without, and paints none of what others need one against
                "presets": {
                    # So small a UNet is computed in full: its figures were taken so, and it takes half a second.
                    "balanced": {"num_inference_steps": 10, "guidance_scale": 3.5, "guidance_interval": [0, 1]},
                    "quality": {"guidance_scale": 3.5, "cache_interval": 1, "guidance_interval": [0, 1]},
                },
            },
            embedded=True,
        ),
        ModelEntry(
            "nano-lcm",
            "lora",
            "nano distilled (latent consistency): 4 steps without guidance",
            "Apache-2.0",
            preset="fast",
            file="nano/lcm-lora.safetensors",
            distilled="lcm",
            defaults={"presets": {}},
            embedded=True,
        ),
        ModelEntry(
            "sd15-inpaint",
            "inpainting",
            "Stable Diffusion 1.5 inpainting, the reference; 512 px",
            _OPENRAIL,
            "stable-diffusion-v1-5/stable-diffusion-inpainting",
            "8a4288a76071f7280aedbdb3253bdb9e9d5d84bb",
            2_130_000_000,
            "quality",
        ),
        ModelEntry(
            "dreamshaper8-inpaint",
            "inpainting",
            "DreamShaper 8 inpainting, a fine-tune of SD1.5 for richer pictures; 512 px",
            _OPENRAIL,
            "Lykon/dreamshaper-8-inpainting",
            None,
            2_130_000_000,
            "quality",
        ),
        ModelEntry(
            "sd-turbo",
            "text-to-image",
            "SD-Turbo, 1 to 4 steps; 512 px; backgrounds meet the subject less well than with inpainting weights",
            "Stability AI Community License: free for research and companies under 1 M USD a year, else by contract",
            "stabilityai/sd-turbo",
            "b261bac6fd2cf515557d5d0707481eafa0485ec2",
            2_580_000_000,
            "fast",
            defaults={"presets": {"fast": _turbo(1), "balanced": _turbo(2), "quality": _turbo(4)}},
        ),
        ModelEntry(
            "sdxs",
            "text-to-image",
            "SDXS-512 (DreamShaper), 1 step with a UNet much smaller than SD1.5's",
            "CreativeML Open RAIL++-M: commercial use allowed, with use restrictions to pass on",
            "IDKiro/sdxs-512-dreamshaper",
            "76f720262bb051da75666b22c902a78c8e16c763",
            None,
            "fast",
            defaults={"presets": dict.fromkeys(_PRESETS, _turbo(1))},
        ),
        ModelEntry(
            "tiny-sd",
            "text-to-image",
            "Segmind's Tiny-SD, a distilled SD1.5 of 323 M parameters for 20 steps; 512 px",
            _OPENRAIL,
            "segmind/tiny-sd",
            "cad0bd7495fa6c4bcca01b19a723dc91627fe84f",
            None,
            "quality",
        ),
        ModelEntry(
            "lcm-lora-sd15",
            "lora",
            "LCM-LoRA for SD1.5: 4 to 8 steps with little or no guidance",
            "CreativeML Open RAIL++-M: commercial use allowed, with use restrictions to pass on",
            "latent-consistency/lcm-lora-sdv1-5",
            "cf2fced511dbe7e26c8d1d397e728fbab875db4b",
            134_621_556,
            "fast",
            file="pytorch_lora_weights.safetensors",
            distilled="lcm",
        ),
        ModelEntry(
            "hyper-sd15-8step-cfg",
            "lora",
            "Hyper-SD for SD1.5: 8 steps that keep guidance (5 to 8)",
            "none stated for the SD1.5 weights; ask ByteDance before any commercial use",
            "ByteDance/Hyper-SD",
            None,
            269_127_064,
            "balanced",
            file="Hyper-SD15-8steps-CFG-lora.safetensors",
            defaults={"presets": dict.fromkeys(_PRESETS, _EIGHT_GUIDED_STEPS)},
        ),
        ModelEntry(
            "taesd",
            "tiny-vae",
            "TAESD, a VAE 18 times lighter than SD1.5's; fine detail suffers a little",
            "MIT",
            "madebyollin/taesd",
            "614f76814bbe30edbe2e627ace1c2234c81a2c0e",
            9_800_000,
        ),
    )
}


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"


@dataclass(frozen=True)
class MaskEntry:
    """A network that finds the subject, or its edge, named as rembg names it, and all that it takes to run it.

    side: of the square it looks at, in pixels: what its time goes by.  digest: of its file, as rembg publishes it:
    `md5:` or `sha256:` and the sum in hexadecimal.  file: of rembg's release; None: as the name.  download: bytes,
    about; None: embedded.  mean, deviation: of the three channels, what comes in is normalised by.  activation: what
    makes a confidence of its output.  is_commercial: whether its weights may be used commercially.
    beside: a second network of the package, which looks at the whole photo as well.
    """

    name: str
    what: str
    licence: str
    side: int
    digest: str
    download: int | None = None
    file: str | None = None
    mean: tuple[float, float, float] = _IMAGENET[0]
    deviation: tuple[float, float, float] = _IMAGENET[1]
    activation: Literal["none", "sigmoid"] = "none"
    is_commercial: bool = True
    beside: str | None = None

    @property
    def url(self) -> str:
        """Where its file is fetched from."""
        return f"{_RELEASE}{self.file or f'{self.name}.onnx'}"


_PLAIN = (1.0, 1.0, 1.0)


def _birefnet(name: str, what: str, file: str, digest: str, download: int = 973_000_000) -> MaskEntry:
    return MaskEntry(
        f"birefnet-{name}", what, "MIT", 1024, f"md5:{digest}", download, f"BiRefNet-{file}.onnx", activation="sigmoid"
    )


MASK_MODELS: dict[str, MaskEntry] = {
    entry.name: entry
    for entry in (
        MaskEntry(
            "u2net-int8", "the default: U²-Net, 44 M parameters, quantised to int8", "Apache-2.0", 320,
            "md5:738e0a53312db103a52bd5b5a2249b44", beside="u2netp",
        ),
        MaskEntry(
            "u2netp", "U²-Net with 1.1 M parameters, for the smallest machines", "Apache-2.0", 320,
            "md5:8e83ca70e441ab06c318d82300c84806",
        ),
        MaskEntry(
            "u2net", "U²-Net as it was published, in float32", "Apache-2.0", 320,
            "md5:60024c5c889badc19c04ad937298a77b", 176_000_000,
        ),
        MaskEntry(
            "u2net_human_seg", "people", "Apache-2.0", 320, "md5:c09ddc2e0104f800e3e1bb4652583d1f", 176_000_000
        ),
        MaskEntry(
            "silueta", "u2net made smaller", "Apache-2.0", 320, "md5:55e59e0d8062d2f5d013f4725ee84782", 44_000_000
        ),
        MaskEntry(
            "isnet-general-use", "finer edges", "Apache-2.0", 1024, "md5:fc16ebd8b0c10d971d3513d564d01e29", 179_000_000,
            mean=(0.5, 0.5, 0.5), deviation=_PLAIN,
        ),
        MaskEntry(
            "isnet-anime", "drawn figures", "Apache-2.0", 1024, "md5:6f184e756bb3bd901c8849220a83e38e", 176_000_000,
            deviation=_PLAIN,
        ),
        _birefnet(
            "general-lite", "much finer edges and thin parts; slow", "general-bb_swin_v1_tiny-epoch_232",
            "4fab47adc4ff364be1713e97b7e66334", 224_000_000,
        ),
        _birefnet("general", "the best; slowest", "general-epoch_244", "7a35a0141cbbc80de11d9c9a28f52697"),
        _birefnet(
            "portrait", "people and their hair; as slow", "portrait-epoch_150", "c3a64a6abf20250d090cd055f12a3b67"
        ),
        _birefnet("dis", "thin and intricate things; as slow", "DIS-epoch_590", "2d4d44102b446f33a4ebb2e56c051f2b"),
        _birefnet("hrsod", "large photos; as slow", "HRSOD_DHU-epoch_115", "c017ade5de8a50ff0fd74d790d268dda"),
        _birefnet("cod", "what hardly stands out; as slow", "COD-epoch_125", "f6d0d21ca89d287f17e7afe9f5fd3b45"),
        _birefnet(
            "massive", "trained on the most pictures; as slow", "massive-TR_DIS5K_TR_TEs-epoch_420",
            "33e726a2136a3d59eb0fdf613e31e3e9",
        ),
        MaskEntry(
            "bria-rmbg",
            "RMBG 2.0: products and people; slow",
            "CC BY-NC 4.0: not for commercial use; BRIA sells a licence",
            1024,
            "sha256:5b486f08200f513f460da46dd701db5fbb47d79b4be4b708a19444bcd4e79958",
            1_024_000_000,
            "bria-rmbg-2.0.onnx",
            is_commercial=False,
        ),
    )
}  # fmt: skip


def _vitmatte(name: str, what: str, digest: str, download: int) -> MaskEntry:
    return MaskEntry(
        f"vitmatte-{name}",
        what,
        "Apache-2.0",
        1024,
        f"sha256:{digest}",
        download,
        mean=(0.0, 0.0, 0.0),
        deviation=_PLAIN,
    )


MATTING_MODELS: dict[str, MaskEntry] = {
    entry.name: entry
    for entry in (
        _vitmatte(
            "small-distinctions-646", "hair and fur; the first to try",
            "d232841ac9d9657df3e62f6c92ed425ee25df18d337245cd8b903fc1ba183631", 110_000_000,
        ),
        _vitmatte(
            "small-composition-1k", "the same, trained on fewer subjects",
            "659b9bb2870f80cffbe20dae4c7f18417fbdf68c0195861d24e9082c28373a24", 110_000_000,
        ),
        _vitmatte(
            "base-distinctions-646", "larger, slower",
            "d30190833269c1bec3e37319fe67af151028d3be32f6f60f6663a51b209cc8c1", 380_000_000,
        ),
        _vitmatte(
            "base-composition-1k", "larger, slower, trained on fewer subjects",
            "87bb10979f816061497ba6867b338c65a05cebd7d1507f6dde92a86382dec1f2", 380_000_000,
        ),
    )
}  # fmt: skip


def find_entry(name: str) -> ModelEntry:
    """The entry of that name, or ModelNotFound with the names there are."""
    try:
        return CATALOGUE[name]
    except KeyError:
        raise ModelNotFound(
            f"there is no model {name!r} in the catalogue and no folder of that name; "
            f"the catalogue has {', '.join(CATALOGUE)}"
        ) from None


def embedded(name: str) -> Path:
    """The folder of an embedded model, ready to run."""
    return _HERE / name / "onnx"
