"""The catalogue, the store, and fetching from a hub that misbehaves."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars
from PIL import Image

from cyclorama import BackgroundGenerator, BadModel, DownloadFailed, ModelNotFound
from cyclorama.export import ExportFailed, export_checkpoint
from cyclorama.models.catalogue import CATALOGUE, embedded
from cyclorama.models.hub import choose_files, fetch_file, fetch_repository
from cyclorama.models.store import is_present, resolve, verify
from tests.conftest import DATA, NANO_CHECKPOINT, PHOTOS
from tests.hub import Hub, serve

REPOSITORY = "stable-diffusion-v1-5/stable-diffusion-inpainting"
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub({REPOSITORY: NANO_CHECKPOINT})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        disable_progress_bars()
        yield served
        enable_progress_bars()


def test_fetches_a_repository_once(hub: Hub) -> None:
    folder, commit = fetch_repository(REPOSITORY, None)
    assert commit == hub.commit
    assert (folder / UNET).read_bytes() == (NANO_CHECKPOINT / UNET).read_bytes()
    fetched = len(hub.served)
    assert fetched == sum(path.is_file() for path in NANO_CHECKPOINT.rglob("*"))
    fetch_repository(REPOSITORY, None)
    assert len(hub.served) == fetched


def test_a_cut_connection_is_resumed_not_restarted(hub: Hub) -> None:
    hub.cut_after[UNET] = 12_000_000  # it keeps whole chunks of 10 MB
    # huggingface_hub takes a broken line up again by itself, or leaves that to the next call.
    with contextlib.suppress(DownloadFailed):
        fetch_repository(REPOSITORY, None)
    folder, _ = fetch_repository(REPOSITORY, None)
    assert (folder / UNET).read_bytes() == (NANO_CHECKPOINT / UNET).read_bytes()
    ranges = [wanted for name, wanted in hub.ranges if name == UNET]
    assert len(ranges) == 2
    assert ranges[1] is not None
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) > 0


def test_a_file_that_arrives_damaged_is_removed(hub: Hub) -> None:
    hub.corrupt.add(UNET)
    with pytest.raises(DownloadFailed, match=r"diffusion_pytorch_model\.safetensors arrived damaged"):
        fetch_repository(REPOSITORY, None)
    hub.corrupt.clear()
    folder, _ = fetch_repository(REPOSITORY, None)
    assert (folder / UNET).read_bytes() == (NANO_CHECKPOINT / UNET).read_bytes()
    hub.corrupt.add("tokenizer/vocab.json")
    shutil.rmtree(folder.parent.parent)
    with pytest.raises(DownloadFailed, match=r"vocab\.json arrived damaged"):
        fetch_repository(REPOSITORY, None)


def test_what_the_hub_does_not_have(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="the hub has no nobody/nothing at revision v1"):
        fetch_repository("nobody/nothing", "v1")
    with pytest.raises(DownloadFailed, match="no hub id"):
        fetch_repository("a b c", None)
    with pytest.raises(DownloadFailed, match=r"has no file lora\.safetensors"):
        fetch_file(REPOSITORY, "lora.safetensors", None)
    with pytest.raises(ExportFailed, match="there is no checkpoint /nowhere/at/all"):
        export_checkpoint("/nowhere/at/all", tmp_path / "out")


def test_no_hub_at_all(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadFailed, match=r"failed .*run the same command again") as error:
        fetch_repository(REPOSITORY, None)
    assert "\n" not in str(error.value)


def test_one_kind_of_weights_is_chosen() -> None:
    names = [
        "model_index.json",
        "README.md",
        "v1-5-inpainting.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "vae/config.json",
        "vae/diffusion_pytorch_model.bin",
        "text_encoder/model.safetensors",
        "safety_checker/model.safetensors",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
    ]
    assert choose_files(names) == [
        "model_index.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.bin",
    ]
    assert choose_files(names, weights=False) == [
        "model_index.json",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "vae/config.json",
    ]
    tiny = ["config.json", "diffusion_pytorch_model.safetensors", "taesd_encoder.safetensors"]
    assert choose_files(tiny) == tiny[:2]


def test_pull_end_to_end_by_the_command(tmp_path: Path) -> None:
    """Fetch, export, verify, run: in a process of its own, over HF_ENDPOINT."""
    with serve(Hub({REPOSITORY: NANO_CHECKPOINT})) as hub:
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "CYCLORAMA_HOME": str(tmp_path / "home"),
        }

        def cyclorama(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "cyclorama", *words],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )

        photo = str(PHOTOS / "coffee.jpg")
        out = tmp_path / "out.png"
        early = cyclorama("generate", photo, "-p", "a beach", "--model", "sd15-inpaint", "-o", str(out))
        assert early.returncode == 1
        assert "run: cyclorama models pull sd15-inpaint (about 2.1 GB to download" in early.stderr
        assert not out.exists()
        pulled = cyclorama("models", "pull", "sd15-inpaint", "--format", "onnx")
        assert pulled.returncode == 0, pulled.stderr
        assert Path(pulled.stdout.strip()) == tmp_path / "home" / "models" / "sd15-inpaint"
        served = len(hub.served)
        again = cyclorama("models", "pull", "sd15-inpaint")
        assert again.returncode == 0
        unet = Path(pulled.stdout.strip()) / "unet" / "model.onnx"
        before = unet.stat().st_mtime_ns
        # Damaged, it is exported again from what was fetched.
        unet.write_bytes(b"damaged")
        repaired = cyclorama("models", "pull", "sd15-inpaint", "--format", "onnx")
        assert repaired.returncode == 0, repaired.stderr
        assert unet.stat().st_mtime_ns > before
        assert len(hub.served) == served
        run = cyclorama("generate", photo, "-p", "a beach", "--model", "sd15-inpaint", "--steps", "2", "-o", str(out))
        assert run.returncode == 0, run.stderr
        with Image.open(out) as image:
            assert image.size == (600, 400)


def test_resolving_names_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("nano") == embedded("nano")
    assert resolve(tmp_path) == tmp_path
    with pytest.raises(
        ModelNotFound, match=r"there is no model 'nanoo'.*the catalogue has nano, nano-lcm, sd15-inpaint"
    ):
        resolve("nanoo")
    with pytest.raises(ModelNotFound, match=r"no model of its own but a part.*--lora lcm-lora-sd15"):
        resolve("lcm-lora-sd15")
    (tmp_path / "a.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelNotFound, match=r"is a file; export it"):
        resolve(tmp_path / "a.safetensors")
    for entry in CATALOGUE.values():
        assert is_present(entry) == (entry.name == "nano")
        if not (entry.is_part or entry.embedded):
            with pytest.raises(ModelNotFound, match=f"cyclorama models pull {entry.name} .*licence: "):
                resolve(entry.name)


def test_every_entry_says_what_it_must() -> None:
    for entry in CATALOGUE.values():
        assert entry.licence
        assert entry.what
        assert entry.embedded or entry.repository
        assert entry.revision is None or len(entry.revision) == 40
    assert {"sd-turbo", "sdxs", "tiny-sd", "dreamshaper8-inpaint", "taesd"} <= CATALOGUE.keys()


def test_verify_finds_what_differs(tmp_path: Path) -> None:
    assert verify(embedded("nano")) > 8
    folder = Path(shutil.copytree(embedded("nano"), tmp_path / "nano"))
    (folder / "unet" / "model.onnx").write_bytes(b"changed")
    (folder / "tokenizer" / "merges.txt").unlink()
    with pytest.raises(BadModel, match=r"merges\.txt is missing, unet/model\.onnx differs"):
        verify(folder)
    (folder / "cyclorama.json").write_text("{}")
    with pytest.raises(BadModel, match=r"cyclorama\.json cannot be read"):
        verify(folder)
    (folder / "cyclorama.json").unlink()
    with pytest.raises(BadModel, match="not exported by cyclorama"):
        verify(folder)


def test_the_embedded_form_is_the_checkpoint_exported(nano_onnx: Path) -> None:
    """Were the checkpoint replaced and `make nano` forgotten, the two would part."""
    photo = np.asarray(Image.open(PHOTOS / "coffee.jpg"))
    mask = np.asarray(Image.open(DATA / "coffee-mask.png"))
    images = []
    for model in ("nano", nano_onnx):
        generator = BackgroundGenerator.load(model)
        scene = generator.prepare(photo, mask=mask)
        images.append(np.asarray(generator.generate(scene, "lavender field", seed=1).background).astype(int))
    assert np.abs(images[0] - images[1]).max() <= 2
