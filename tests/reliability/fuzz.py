"""Files and requests, spoilt at random: `python -m tests.reliability.fuzz [--count N] [--seed N] [TARGET ...]`.

A finding is an exception that is none of ours, an answer of 500, a process that dies, memory over 2 GB, or more than
20 seconds. Each target's inputs are spoilt from whole ones by a seed, so a finding is made again by its number.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from starlette.testclient import TestClient

from cyclorama import BackgroundGenerator, CycloramaError, load_photo
from cyclorama.batch.manifest import check_row, rows
from cyclorama.engine.photo import load_mask
from cyclorama.export.lora import fuse_lora
from cyclorama.export.source import load_pipeline
from cyclorama.models.catalogue import embedded
from cyclorama.models.store import verify
from cyclorama.models.weights import why_no_weights
from cyclorama.serving.app import make_app
from cyclorama.serving.jobs import JobQueue
from cyclorama.serving.requests import LIMITS
from cyclorama.serving.service import Service
from tests.checkpoints import make_checkpoint
from tests.conftest import PHOTOS, ROOT

SECONDS, MEMORY = 20, 2 * 1024**3
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "ICO", "JPEG2000", "PPM", "TGA", "HEIF", "MPO")
_WORDS = (
    b"0",
    b"-1",
    b"null",
    b"[]",
    b"{}",
    b"1e999",
    b"NaN",
    b"99999999999999999999",
    b'"',
    b"\\",
    b"\n",
    b"\0",
    b"..",
)
Target = Callable[[random.Random, Path], None]


def spoilt(data: bytes, chance: random.Random, others: tuple[bytes, ...] = ()) -> bytes:
    """The same bytes with one to six things wrong, sometimes none."""
    made = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 6))):
        at = chance.randrange(len(made) + 1)
        to = min(len(made), at + chance.choice((1, 1, 2, 4, 16, 256)))
        match chance.randrange(8):
            case 0:
                made[at:to] = bytes(chance.randrange(256) for _ in range(to - at))
            case 1:
                made[at:to] = chance.choice((b"\0", b"\xff", b"\x7f")) * (to - at)
            case 2 if at < len(made):
                made[at] ^= 1 << chance.randrange(8)
            case 3:
                del made[at:to]
            case 4:
                made[at:at] = made[at:to]
            case 5 if chance.random() < 0.3:
                del made[at:]
            case 6:
                made[at:at] = chance.choice(_WORDS)
            case 7 if others:
                other = chance.choice(others)
                made[at:] = other[min(at, len(other)) :]
            case _:
                made[:32] = bytes(byte ^ (chance.random() < 0.05) for byte in made[:32])
    return bytes(made)


@cache
def _pictures() -> tuple[bytes, ...]:
    """One of each format and mode that Pillow writes, small."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    with Image.open(PHOTOS / "cat.jpg") as photo:
        small = photo.convert("RGBA").resize((48, 40))
    exif, made = Image.Exif(), []
    exif[0x0112], exif[0x010E] = 6, "a cat"
    for kind in _FORMATS:
        for mode in _MODES:
            with io.BytesIO() as file:
                try:
                    grey = small.convert("L").convert(mode) if mode in ("I;16", "I", "F") else small.convert(mode)
                    grey.save(file, kind, exif=exif.tobytes())
                except (OSError, ValueError, KeyError, TypeError, SystemError):
                    continue
                made.append(file.getvalue())
    return tuple(made)


def photos(chance: random.Random, _: Path) -> None:
    """A photo of any format, from bytes."""
    load_photo(spoilt(chance.choice(_pictures()), chance, _pictures()), LIMITS.pixels)


def masks(chance: random.Random, _: Path) -> None:
    """A mask of any format."""
    load_mask(spoilt(chance.choice(_pictures()), chance, _pictures()), (48, 40))


def manifests(chance: random.Random, folder: Path) -> None:
    """A table of photos, CSV or JSON lines."""
    table = [{"photo": "a.jpg", "prompt": "a beach", "seed": "3", "box": "1,2,3,4", "output": "x/a.png"}] * 3
    if chance.random() < 0.5:
        with io.StringIO() as text:
            writer = csv.DictWriter(text, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
            data, path = text.getvalue().encode(), folder / "table.csv"
    else:
        data, path = "\n".join(map(json.dumps, table)).encode(), folder / "table.jsonl"
    path.write_bytes(spoilt(data, chance))
    for row in rows([path], {}):
        check_row(row, folder, only_masks=False)


@cache
def _nano(folder: Path) -> Path:
    return Path(shutil.copytree(embedded("nano"), folder / "nano"))


def models(chance: random.Random, folder: Path) -> None:
    """A model folder: its configs, its manifest, its tokenizer, and now and then its networks."""
    model = _nano(folder)
    small = sorted(path for path in model.rglob("*") if path.is_file() and path.suffix in (".json", ".txt"))
    large = sorted(model.rglob("*.onnx"))
    path = chance.choice(large if chance.random() < 0.1 else small)
    whole = path.read_bytes()
    try:
        path.write_bytes(spoilt(whole, chance))
        with BackgroundGenerator.load(model, backend="onnx", threads=1) as generator:
            generator.resolve("a beach")
            generator._loaded.text_encoder.encode("a beach")
        verify(model)
    finally:
        path.write_bytes(whole)


@cache
def _lora() -> tuple[bytes, bytes]:
    weights = {
        f"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.{name}": torch.ones(shape)
        for name, shape in (("lora_down.weight", (2, 32)), ("lora_up.weight", (32, 2)), ("alpha", ()))
    }
    return save(weights, {"ss_network_dim": "2"}), save({"x": torch.zeros(4, 4)})


def weights(chance: random.Random, folder: Path) -> None:
    """A .safetensors file, as a checkpoint."""
    path = folder / "weights.safetensors"
    path.write_bytes(spoilt(chance.choice(_lora()), chance, _lora()))
    why_no_weights(path)


@cache
def _tiny(folder: Path) -> Path:
    return make_checkpoint(folder / "tiny")


def checkpoints(chance: random.Random, folder: Path) -> None:
    """A diffusers checkpoint, and a LoRA fused into it."""
    checkpoint = _tiny(folder)
    files = sorted(path for path in checkpoint.rglob("*") if path.suffix in (".json", ".safetensors", ".txt"))
    path = chance.choice(files)
    whole = path.read_bytes()
    lora = folder / "lora.safetensors"
    lora.write_bytes(spoilt(_lora()[0], chance, _lora()))
    try:
        if chance.random() < 0.7:
            path.write_bytes(spoilt(whole, chance))
        pipeline, _ = load_pipeline(checkpoint)
        fuse_lora(pipeline, str(lora))
    finally:
        path.write_bytes(whole)


@cache
def _client() -> TestClient:
    generator = BackgroundGenerator.load("nano", limits=LIMITS, threads=1)
    return TestClient(make_app(Service({"nano": generator}), JobQueue()), raise_server_exceptions=False)


@cache
def _bodies() -> tuple[tuple[str, bytes], ...]:
    picture = np.zeros((24, 24, 3), np.uint8)
    picture[8:16, 8:16] = 200
    with io.BytesIO() as file:
        Image.fromarray(picture).save(file, "png")
        png = file.getvalue()
    fields = {
        "prompt": "a beach", "seed": "3", "num_inference_steps": "1", "working_size": "64", "box": "8,8,8,8",
        "n": "1", "canvas": "square", "shadow": "true", "output_format": "png",
    }  # fmt: skip
    parts = [f'--x\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    head = '--x\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\ncontent-type: image/png\r\n\r\n'
    form = "\r\n".join(parts).encode() + b"\r\n" + head.encode() + png + b"\r\n--x--\r\n"
    uri = "data:image/png;base64," + base64.b64encode(png).decode()
    body = json.dumps({**fields, "images": [{"image_url": uri}]}).encode()
    return ("multipart/form-data; boundary=x", form), ("application/json", body)


def requests(chance: random.Random, _: Path) -> None:
    """A body of an edit or a mask, over HTTP."""
    kind, body = chance.choice(_bodies())
    path = chance.choice(("/v1/images/edits", "/v1/images/edits", "/v1/masks", "/v1/jobs"))
    answer = _client().post(path, content=spoilt(body, chance), headers={"content-type": kind})
    assert answer.status_code < 500, f"{answer.status_code}: {answer.text[:300]}"


# Each with its share of all inputs.
TARGETS: dict[str, tuple[Target, int]] = {
    "photos": (photos, 40), "masks": (masks, 15), "manifests": (manifests, 15), "weights": (weights, 10),
    "requests": (requests, 10), "models": (models, 5), "checkpoints": (checkpoints, 5),
}  # fmt: skip


def tried(name: str, number: int, seed: int, folder: Path) -> str | None:
    """What is wrong with how one input is taken; None: nothing."""
    target, _ = TARGETS[name]
    start = time.monotonic()
    try:
        target(random.Random(f"{name} {seed} {number}"), folder)
    except CycloramaError as error:
        told = str(error)
        return f"an error of {len(told.splitlines())} lines" if "\n" in told.strip() else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    finally:
        spent = time.monotonic() - start
    return f"took {spent:.0f} s" if spent > SECONDS else None


def child(name: str, first: int, last: int, seed: int) -> None:
    """Tries those inputs and tells of each as it begins, so that whoever listens knows which one ended the process."""
    import logging
    import warnings

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    telling = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print as well
    with tempfile.TemporaryDirectory() as folder:
        tried(name, -1, seed, Path(folder))  # what is loaded once is no input's memory
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        for number in range(first, last):
            print(json.dumps([number, None]), file=telling, flush=True)
            signal.alarm(3 * SECONDS)
            wrong = tried(name, number, seed, Path(folder))
            signal.alarm(0)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if wrong is None and after - before > MEMORY:
                wrong, before = f"took {(after - before) / 1e9:.1f} GB", after
            if wrong:
                print(json.dumps([number, wrong]), file=telling, flush=True)


def fuzzed(name: str, count: int, seed: int) -> list[str]:
    """The findings of a target."""
    findings, first = [], 0
    while first < count:
        words = [sys.executable, "-m", "tests.reliability.fuzz", "--child", name, str(first), str(count), str(seed)]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
            env={**os.environ, "CYCLORAMA_HOME": tempfile.gettempdir()},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            number = first - 1
            for line in process.stdout:
                number, wrong = json.loads(line)
                if wrong:
                    findings.append(f"{name} {number} of seed {seed}: {wrong}")
        if process.returncode != 0:
            findings.append(f"{name} {number} of seed {seed}: the process ended with {process.returncode}")
            first = number + 1
        else:
            first = count
    return findings


@click.command()
@click.option("--count", default=10_000, show_default=True, help="Of inputs, of all targets together.")
@click.option("--seed", default=0, show_default=True)
@click.option("--again", type=int, help="One input alone, by its number, with its traceback.")
@click.argument("targets", nargs=-1, type=click.Choice(list(TARGETS)))
def main(count: int, seed: int, again: int | None, targets: tuple[str, ...]) -> None:
    """Try, and print a table in Markdown. Ends with 1 where there are findings."""
    chosen = targets or tuple(TARGETS)
    if again is not None:
        with tempfile.TemporaryDirectory() as folder:
            TARGETS[chosen[0]][0](random.Random(f"{chosen[0]} {seed} {again}"), Path(folder))
        return
    shares = sum(TARGETS[name][1] for name in chosen)
    click.echo("| | inputs | findings | seconds |\n|---|---|---|---|")
    found = []
    for name in chosen:
        inputs, start = max(1, count * TARGETS[name][1] // shares), time.monotonic()
        findings = fuzzed(name, inputs, seed)
        found += findings
        click.echo(f"| {name} | {inputs} | {len(findings)} | {time.monotonic() - start:.0f} |")
    for told in found:
        click.echo(told, err=True)
    sys.exit(bool(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], *map(int, sys.argv[3:6]))
    else:
        main()
