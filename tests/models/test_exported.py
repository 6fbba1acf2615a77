"""Model folders on a hub: pulled without torch, refused where they are no such, and published."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from cyclorama import BackgroundGenerator, BadModel, DownloadFailed, ModelNotFound
from cyclorama.cli import main
from cyclorama.models import catalogue
from cyclorama.models.catalogue import embedded
from cyclorama.models.exported import choose_exported, pull_exported
from cyclorama.models.store import home, resolve, verify
from tests.conftest import NANO_CHECKPOINT, PHOTOS
from tests.hub import Hub, serve

NANO = embedded("nano")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub({"me/nano": NANO, "me/checkpoint": NANO_CHECKPOINT}, published=tmp_path / "published")) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("CYCLORAMA_HOME", str(tmp_path / "home"))
        disable_progress_bars()
        yield served
        enable_progress_bars()


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == code, result.output
    return result


def test_pulled_once_checked_and_painted_with(hub: Hub, tmp_path: Path) -> None:
    folder = Path(run("models", "pull", "me/nano").stdout.strip())
    assert folder == home() / "models" / "me--nano"
    assert verify(folder) > 10
    served = len(hub.served)
    assert served == sum(path.is_file() for path in NANO.rglob("*"))
    run("models", "pull", "me/nano")
    assert len(hub.served) == served
    assert resolve("me/nano") == folder
    assert "me/nano                here         pulled from a hub" in run("models", "list").stdout
    assert json.loads(run("models", "list", "--json").stdout)["pulled"] == ["me/nano"]
    assert "files as they should be" in run("models", "verify", "me/nano").stdout
    photo = str(PHOTOS / "coffee.jpg")
    paint = ("generate", photo, "-p", "a garden", "--steps", "2", "--seed", "1", "-o")
    for number, model in enumerate(("nano", "me/nano")):
        run(*paint, str(tmp_path / f"{number}.png"), "--model", model)
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()
    (folder / "unet" / "model.onnx").write_bytes(b"damaged")
    run("models", "pull", "me/nano")
    assert verify(folder) > 10


def test_pulling_needs_no_torch(hub: Hub, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from cyclorama.cli import main\n"
        "main(['models', 'pull', 'me/nano'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'optimum') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_name_of_the_catalogue_may_be_exported_already(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(catalogue.CATALOGUE["sd15-inpaint"], exported="me/nano")
    monkeypatch.setitem(catalogue.CATALOGUE, "sd15-inpaint", entry)
    assert run("models", "pull", "sd15-inpaint").stdout.strip() == str(home() / "models" / "sd15-inpaint")
    assert BackgroundGenerator.load("sd15-inpaint").backend == "onnx"


def test_a_cut_line_goes_on_and_what_is_damaged_is_not_kept(hub: Hub) -> None:
    hub.cut_after["unet/model.onnx"] = 12_000_000
    hub.cuts = 6  # more than it takes up again by itself
    with pytest.raises(DownloadFailed, match="run the same command again to go on where it stopped"):
        pull_exported("me/nano")
    with pytest.raises(ModelNotFound, match="run: cyclorama models pull me/nano"):
        resolve("me/nano")
    hub.cuts = 0
    fetched = hub.served.count("text_encoder/model.onnx")
    pull_exported("me/nano")
    assert hub.served.count("text_encoder/model.onnx") == fetched == 1
    shutil.rmtree(home())
    hub.corrupt.add("unet/model.onnx")
    with pytest.raises(DownloadFailed, match="arrived damaged and was removed"):
        pull_exported("me/nano")
    hub.corrupt.clear()
    pull_exported("me/nano")


@pytest.mark.parametrize("kept", [0, 45])
def test_notes_that_a_full_disk_cut_off_do_not_stop_the_next_try(hub: Hub, kept: int) -> None:
    hub.cut_after["unet/model.onnx"] = 12_000_000
    hub.cuts = 6
    with pytest.raises(DownloadFailed):
        pull_exported("me/nano")
    hub.cuts = 0
    notes = list((home() / "models").rglob("*.metadata"))
    assert notes
    for note in notes:
        note.write_bytes(note.read_bytes()[:kept])
    assert verify(pull_exported("me/nano")) > 10


def test_what_is_no_model_folder_is_refused(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(
        DownloadFailed, match=r"me/checkpoint is no model folder as OpenVINO IR or ONNX; .*cyclorama exp"
    ):
        pull_exported("me/checkpoint")
    with pytest.raises(DownloadFailed, match="me/nano is no model folder as openvino"):
        pull_exported("me/nano", format="openvino")
    with pytest.raises(DownloadFailed, match="the hub has no me/nothing"):
        pull_exported("me/nothing")
    assert "the hub has no me/nothing" in run("models", "pull", "me/nothing", code=1).stderr
    changed = Path(shutil.copytree(NANO, tmp_path / "changed"))
    (changed / "unet" / "config.json").write_text("{}")
    hub.repositories["me/changed"] = changed
    with pytest.raises(BadModel, match=r"me/changed at c0ffee.* cannot be used: .*unet/config\.json differs"):
        pull_exported("me/changed")
    assert not list((home() / "models").glob("me--changed*/"))
    assert "--revision goes with OWNER/NAME" in run("models", "pull", "nano", "--revision", "x", code=2).stderr


def test_one_format_is_chosen_of_two() -> None:
    parts = ("text_encoder", "unet", "vae_encoder", "vae_decoder")
    both = ["model_index.json", "cyclorama.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json", "evil.py"]
    both += [f"{part}/{file}" for part in parts for file in ("config.json", "model.onnx", "model.onnx_data")]
    both += [f"{part}/openvino_model.{end}" for part in parts for end in ("xml", "bin")]
    both += ["unet/../../x", "tokenizer/special/x.json", "unet/pytorch_model.bin"]
    ir, onnx = (set(choose_exported(both, format)) for format in ("openvino", "onnx"))
    assert ir == set(choose_exported(both))
    assert {name for name in ir if "model.onnx" in name} == set()
    assert {name for name in onnx if "openvino" in name} == set()
    assert len(onnx) == len(ir) == 4 * 3 + 4
    assert choose_exported([name for name in both if name != "unet/model.onnx"], "onnx") == []


def test_published_and_pulled_again(hub: Hub, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(NANO, tmp_path / "mine"))
    # In a process of its own, for huggingface_hub reads HF_ENDPOINT while it is imported.
    words = ["models", "publish", str(folder), "me/mine", "--licence", "apache-2.0"]
    ran = subprocess.run([sys.executable, "-m", "cyclorama", *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == f"{hub.url}/me/mine"
    assert hub.tokens == {"Bearer hf_mine"}
    card = (hub.repositories["me/mine"] / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "cyclorama models pull me/mine" in card
    assert "| unet | fp16 | " in card
    pulled = pull_exported("me/mine")
    for path in NANO.rglob("*"):
        if path.is_file():
            assert (pulled / path.relative_to(NANO)).read_bytes() == path.read_bytes()
    (folder / "tokenizer" / "merges.txt").write_text("")
    assert "is damaged" in run("models", "publish", str(folder), "me/mine", "--licence", "x", code=1).stderr
    assert "Missing option '--licence'" in run("models", "publish", str(folder), "me/mine", code=2).stderr


def test_publishing_to_a_hub_that_refuses(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    failed = run("models", "publish", str(NANO), "me/mine", "--licence", "apache-2.0", code=1)
    assert "publishing me/mine failed" in failed.stderr
    assert "`hf auth login`" in failed.stderr
