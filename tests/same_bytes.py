"""Do two work trees make the same files, byte for byte? The guard of commits that only move code.

    git worktree add ../before HEAD~1
    .venv/bin/python tests/same_bytes.py ../before .

Runs each command and each Python call below in both trees, with this interpreter's packages, and compares every file
and what was printed. Takes two to four minutes. Exits with 1 where anything differs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PHOTOS = Path(__file__).parent.parent / "docs" / "photos"
_CHANGING = re.compile(r'"(?:peak_memory|seconds)": (?:\{[^}]*\}|\d+)|\d+\.\d+ s\b')

CAT, CUP, FLOWER, DRUM, BOWL, ASTRONAUT = (
    str(PHOTOS / f"{name}.jpg") for name in ("cat", "coffee", "flower", "drum", "bowl", "astronaut")
)
PAINT = ("--seed", "3", "--steps", "3")
COMMANDS: dict[str, tuple[str, ...]] = {
    "quality, OpenVINO": ("generate", CAT, "-p", "a beach", "--seed", "1", "--backend", "openvino", "-o", "a.png"),
    "balanced, ONNX": ("generate", CAT, "-p", "a beach", "--seed", "1", "--preset", "balanced", "-o", "a.png"),
    "fast": ("generate", CUP, "-p", "a cafe", *PAINT, "--preset", "fast", "--json", "-o", "a.png"),
    "count, JPEG": ("generate", CUP, "-p", "brick wall", *PAINT, "--count", "2", "-o", "a.jpg"),
    "WebP": ("generate", CUP, "-p", "a cafe", *PAINT, "--negative-prompt", "red", "-o", "a.webp"),
    "best of": ("generate", CUP, "-p", "a garden", *PAINT, "--best-of", "3", "--good-enough", "0.0", "-o", "a.png"),
    "strength": ("generate", DRUM, "-p", "a stage", *PAINT, "--strength", "0.7", "-o", "a.png"),
    "size": ("generate", DRUM, "-p", "a stage", *PAINT, "--size", "192", "-o", "a.png"),
    "guidance": ("generate", DRUM, "-p", "a stage", *PAINT, "--guidance-scale", "1", "-o", "a.png"),
    "placed": (
        "generate", BOWL, "-p", "marble", *PAINT, "--canvas", "4:5", "--subject-scale", "0.8",
        "--subject-position", "0.5,0.9", "--shadow", "-o", "a.png",
    ),
    "colour match": ("generate", BOWL, "-p", "snow", *PAINT, "--colour-match", "-o", "a.png"),
    "box": ("generate", FLOWER, "-p", "leaves", *PAINT, "--box", "100,50,400,300", "-o", "a.png"),
    "given picture": ("generate", FLOWER, "--background", CUP, "--colour-match", "-o", "a.jpg"),
    "given colour": ("generate", FLOWER, "--background", "#f0f0f0", "--shadow", "--canvas", "square", "-o", "a.webp"),
    "transparent": ("generate", ASTRONAUT, "--background", "transparent", "-o", "a.png"),
    "blur": ("generate", ASTRONAUT, "--blur", "-o", "a.png"),
    "mask": ("mask", ASTRONAUT, "-o", "a.png"),
    "mask in a box": ("mask", CUP, "--box", "150,0,350,400", "-o", "a.png"),
    "cut-out": ("mask", CAT, "--cutout", "-o", "a.png"),
    "models": ("models", "list", "--json"),
    "show": ("models", "show", "nano"),
    "verify": ("models", "verify", "nano"),
    "a wrong option": ("generate", CAT, "-p", "x", "--steps", "0", "-o", "a.png"),
    "a wrong file": ("mask", "nowhere.jpg"),
    "4 channels, OpenVINO": ("generate", CUP, "-p", "a", *PAINT, "--model", "{models}/four-openvino", "-o", "a.png"),
    "4 channels, ONNX": ("generate", CUP, "-p", "a", *PAINT, "--model", "{models}/four-onnx", "-o", "a.png"),
    "9 channels, KL, cached": (
        "generate", CUP, "-p", "a", "--seed", "2", "--model", "{models}/nine-openvino", "-o", "a.png",
    ),
}  # fmt: skip

_BEGIN = """
import sys
import numpy as np
from cyclorama import Background, BackgroundGenerator, cut_out, find_subject, Hints, load_photo
photo = load_photo({cat!r})
height, width = photo.rgb.shape[:2]
stroke = np.zeros((height, width), np.uint8)
white = Background.colour('white')
"""
CALLS: dict[str, str] = {
    "keep": "stroke[100:140, 100:220] = 255; cut_out({cat!r}, keep=stroke).on(white).save('a.png')",
    "drop": "stroke[:60] = 255; cut_out({cat!r}, drop=stroke).on(white).save('a.png')",
    "keep, drop and box": (
        "stroke[100:140, 150:220] = 255; other = np.zeros_like(stroke); other[:30] = 255\n"
        "cut_out({cat!r}, keep=stroke, drop=other, box=(60, 0, 300, 300)).on(Background.transparent()).save('a.png')"
    ),
    "find_subject": "np.save('a.npy', find_subject(photo.rgb)); np.save('b.npy', photo.rgb)",
    "steps and preview": (
        "generator = BackgroundGenerator.load('nano', backend='onnx')\n"
        "for step in generator.steps(generator.prepare({cat!r}), 'a beach', seed=1, num_inference_steps=3):\n"
        "    step.preview().save(f'{{step.index}}.png')\n"
        "step.result().save('a.webp')"
    ),
    "samplers": (
        "generator = BackgroundGenerator.load('nano')\nscene = generator.prepare({cat!r}, size=128)\n"
        "for name in ('ddim', 'euler', 'euler_ancestral', 'dpmpp_2m', 'lcm', 'tcd'):\n"
        "    generator.generate(scene, 'a beach', seed=1, num_inference_steps=4, sampler=name).save(name + '.png')"
    ),
    "cached and guided in part": (
        "generator = BackgroundGenerator.load('nano', backend='openvino')\nscene = generator.prepare({cat!r})\n"
        "generator.generate(scene, 'a beach', seed=1, num_inference_steps=6, cache_interval=3,\n"
        "                   guidance_interval=(0.2, 0.7)).save('a.png')"
    ),
    "exact": (
        "generator = BackgroundGenerator.load('nano', backend='openvino', exact=True)\n"
        "generator.generate(generator.prepare({cat!r}), 'snow', seed=1, num_inference_steps=2).save('a.png')"
    ),
}


def make_models(tree: Path, folder: Path) -> None:
    """Small models with random weights, exported once by the first tree; both run the same files."""
    code = (
        "import sys; from pathlib import Path; from cyclorama.export import export_checkpoint\n"
        "from tests.checkpoints import make_checkpoint\n"
        "out = Path(sys.argv[1])\n"
        "four, nine = make_checkpoint(out / 'four', in_channels=4), make_checkpoint(out / 'nine')\n"
        "for name, source, format in (('four-openvino', four, 'openvino'), ('four-onnx', four, 'onnx'),\n"
        "                             ('nine-openvino', nine, 'openvino')):\n"
        "    export_checkpoint(source, out / name, format=format)\n"
    )
    run(tree, folder, ["-c", code, str(folder)], check=True)


def run(tree: Path, folder: Path, words: list[str], check: bool = False) -> subprocess.CompletedProcess[bytes]:
    """In a folder, with a tree's own code and a home of its own."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "CYCLORAMA_HOME": str(folder.parent / f"home-{tree.name}")}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=check,
        stdin=subprocess.DEVNULL,
    )


def made(tree: Path, folder: Path, words: list[str]) -> dict[str, bytes]:
    """All that a run left and printed, less what changes from run to run."""
    folder.mkdir(parents=True)
    process = run(tree, folder, words)
    printed = {
        name: _CHANGING.sub(
            "...", text.decode(errors="replace").replace(str(PHOTOS), "PHOTOS").replace(str(tree), "TREE")
        ).encode()
        for name, text in (("standard output", process.stdout), ("standard error", process.stderr))
    }
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {**files, **printed, "exit code": str(process.returncode).encode()}


def main() -> int:
    """Compares the trees named on the command line."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    trees = [Path(word).resolve() for word in sys.argv[1:]]
    scratch = Path(tempfile.mkdtemp())
    differing = 0
    try:
        models = scratch / "models"
        models.mkdir()
        make_models(trees[0], models)
        cases = {
            name: ["-m", "cyclorama", *(word.format(models=models) for word in words)]
            for name, words in COMMANDS.items()
        }
        cases |= {name: ["-c", (_BEGIN + code).format(cat=CAT)] for name, code in CALLS.items()}
        for number, (name, words) in enumerate(cases.items()):
            before, after = (
                made(tree, scratch / side / str(number), words) for tree, side in zip(trees, "ab", strict=True)
            )
            wrong = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            differing += bool(wrong)
            print(f"{'DIFFERS' if wrong else 'same':<8} {name}{': ' + ', '.join(wrong) if wrong else ''}", flush=True)
            for key in wrong:
                if key.startswith("standard"):
                    print(f"  before: {before.get(key, b'')[-400:]!r}\n  after:  {after.get(key, b'')[-400:]!r}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{len(cases)} cases, {differing} of them differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
