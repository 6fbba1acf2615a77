"""The command line as a person meets it: output, exit codes, and one clear line when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cyclorama.cli import main
from tests.conftest import DATA, PHOTOS, ROOT

CUP = str(PHOTOS / "coffee.jpg")
QUICK = ("--steps", "2", "--seed", "1")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == code, result.output
    if code:
        assert "Traceback" not in result.output
        assert len(result.stderr.strip().splitlines()[-1]) > 20
    return result


def test_generate_prints_the_file_and_keeps_notes_apart() -> None:
    result = run("generate", CUP, "-p", "grey studio backdrop", *QUICK)
    assert result.stdout == "coffee-background.png\n"
    assert "note: seed 1" in result.stderr
    with Image.open("coffee-background.png") as image:
        assert image.size == (600, 400)
        assert image.info["parameters"].startswith("grey studio backdrop\nSteps: 2, ")


def test_nothing_is_overwritten_unless_named() -> None:
    for expected in ("coffee-background.png", "coffee-background-2.png"):
        assert run("generate", CUP, "-p", "a garden", *QUICK).stdout.strip() == expected
    run("generate", CUP, "-p", "a street", *QUICK, "-o", "coffee-background.png")
    with Image.open("coffee-background.png") as image:
        assert image.info["parameters"].startswith("a street")


def test_count_makes_pictures_with_seeds_in_a_row() -> None:
    result = run("generate", CUP, "-p", "a garden", *QUICK, "--count", "3", "-o", "out.jpg", "--json")
    report = json.loads(result.stdout)
    assert [image["file"] for image in report["images"]] == ["out-1.jpg", "out-2.jpg", "out-3.jpg"]
    assert [image["seed"] for image in report["images"]] == [1, 2, 3]
    assert report["images"][0]["seconds"]["denoise"] > 0
    assert all(Path(image["file"]).is_file() for image in report["images"])
    again = run("generate", CUP, "-p", "a garden", *QUICK, "--count", "2", "-o", "out.jpg", code=2)
    assert "out-1.jpg exists already" in again.stderr


def test_a_note_is_said_once() -> None:
    result = run("generate", CUP, "-p", "a garden", *QUICK, "--count", "2", "--preset", "fast")
    assert result.stderr.count("not distilled") == 1


def test_same_seed_same_file() -> None:
    run("generate", CUP, "-p", "a garden", *QUICK, "-o", "a.png")
    run("generate", CUP, "-p", "a garden", *QUICK, "-o", "b.png")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_mask_and_cutout() -> None:
    assert run("mask", CUP).stdout == "coffee-mask.png\n"
    with Image.open("coffee-mask.png") as mask:
        assert (mask.mode, mask.size) == ("L", (600, 400))
        alpha = np.asarray(mask)
    run("mask", CUP, "--cutout", "-o", "cup.png")
    with Image.open("cup.png") as cutout, Image.open(CUP) as photo:
        assert cutout.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(cutout)[..., 3], alpha)
        certain = alpha == 255
        np.testing.assert_array_equal(np.asarray(cutout)[certain, :3], np.asarray(photo)[certain])
    run("generate", CUP, "-p", "a garden", *QUICK, "--mask", "coffee-mask.png", "-o", "out.png")


def test_hints_by_the_command() -> None:
    brush = Image.new("L", (600, 400))
    brush.paste(255, (0, 0, 600, 120))
    brush.save("brush.png")
    run("mask", CUP, "--drop", "brush.png", "--box", "150,0,350,400", "-o", "cup.png")
    with Image.open("cup.png") as mask:
        alpha = np.asarray(mask)
    assert not alpha[:120].any()
    assert not alpha[:, :150].any()
    assert (alpha[150:350, 200:450] > 127).mean() > 0.5
    run("generate", CUP, "-p", "a garden", *QUICK, "--box", "150,0,350,400", "-o", "out.png")


def test_a_file_named_like_a_colour_is_the_file() -> None:
    mask = np.zeros((400, 600), np.uint8)
    mask[100:300, 200:400] = 255
    Image.fromarray(mask).save("mask.png")
    with Image.open(CUP) as photo:
        photo.save("white", format="PNG")
    run("generate", CUP, "--mask", "mask.png", "--background", "white", "-o", "a.png")
    Path("white").unlink()
    Path("white").mkdir()  # and a folder is none
    run("generate", CUP, "--mask", "mask.png", "--background", "white", "-o", "b.png")
    with Image.open("a.png") as file, Image.open("b.png") as colour, Image.open(CUP) as photo:
        np.testing.assert_array_equal(np.asarray(file)[:90], np.asarray(photo)[:90])
        assert (np.asarray(colour)[:90] == 255).all()


def test_given_backgrounds_by_the_command() -> None:
    assert run("generate", CUP, "--background", "white").stdout == "coffee-background.png\n"
    report = json.loads(run("generate", CUP, "--blur", "-o", "blurred.jpg", "--json").stdout)
    assert report["images"][0]["file"] == "blurred.jpg"
    assert report["images"][0]["background"] == "the photo's own, out of focus"
    place = ("--canvas", "4:5", "--subject-scale", "1", "--subject-position", "0.5,0.9")
    run("generate", CUP, "--background", "transparent", "--shadow", *place, "-o", "shop.png")
    with Image.open("shop.png") as image, Image.open("blurred.jpg") as blurred:
        assert (image.mode, image.size) == ("RGBA", (600, 750))
        below = np.asarray(image)[-1, 200:400]
        assert (below[:, :3] == 0).all()  # the shadow
        assert 20 < below[:, 3].max() < 200
        assert blurred.size == (600, 400)
    run("generate", CUP, "-p", "a garden", *QUICK, *place, "--shadow", "--color-match", "-o", "painted.png")
    with Image.open("painted.png") as image:
        assert image.size == (600, 750)
        assert "Contact shadow: yes, Colour match: yes" in image.info["parameters"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["generate", "none.jpg", "-p", "a"], 1, "there is no file none.jpg"),
        (["generate", CUP], 2, "either -p PROMPT, --background or --blur"),
        (["generate", CUP, "-p", "a", "--blur"], 2, "either -p PROMPT, --background or --blur"),
        (["generate", CUP, "--background", "reddish"], 1, "there is no file reddish, and no colour is called so"),
        (["generate", CUP, "--background", "red", "--steps", "4", "--seed", "1"], 2, "--steps, --seed: for painting"),
        (["generate", CUP, "--background", "red", "--colour-match"], 2, "the colour that was asked for, red"),
        (["generate", CUP, "--background", "transparent", "-o", "out.jpg"], 2, "JPEG has no transparency"),
        (["generate", CUP, "--blur", "--color-match"], 2, "has its light already"),
        (["generate", CUP, "-p", "a", "--canvas", "wide"], 2, "a ratio like 4:5 or a size like 1080x1350"),
        (["generate", CUP, "-p", "a", "--subject-position", "left"], 2, "wanted x,y, each 0 to 1"),
        (["generate", CUP, "-p", "a", "--subject-scale", "20"], 2, "--subject-scale must be 0.01 to 10"),
        (["generate", CUP, "-p", "a", "--canvas", "square", "--strength", ".5"], 2, "lets the old background through"),
        (["generate", CUP, "-p", " "], 2, "the prompt is empty"),
        (["generate", CUP, "-p", "a", "-o", "out.gif"], 2, "must end in .png"),
        (["generate", CUP, "-p", "a", "-o", "out.png", "--quality", "80"], 2, "a PNG loses nothing"),
        (["generate", CUP, "-p", "a", "-o", "out.jpg", "--quality", "0"], 2, "--quality must be a whole number from 1"),
        (["generate", CUP, "-p", "a", "-o", "no/folder/out.png"], 1, "there is no folder no/folder"),
        (["generate", CUP, "-p", "a", "--model", "nanoo"], 1, "there is no model 'nanoo'"),
        (["generate", CUP, "-p", "a", "--model", "tiny-sd"], 1, "cyclorama models pull tiny-sd"),
        (["generate", CUP, "-p", "a", "--device", "cuda"], 1, "onnxruntime-gpu"),
        (["generate", CUP, "-p", "a", "--steps", "0"], 2, "--steps must be a whole number from 1 to 1000, got 0"),
        (["generate", CUP, "-p", "a", "--negative-prompt", "b", "--guidance-scale", "1"], 2, "does nothing"),
        (["generate", CUP, "-p", "a", "--mask", str(DATA / "cat-mask.png")], 1, "the mask is 451x300"),
        (["generate", CUP, "-p", "a", "--mask-model", "nope"], 2, "unknown mask model 'nope'"),
        (["mask", "grey.png"], 1, "no subject found (u2net-int8: it is nowhere more than"),
        (["mask", "grey.png"], 1, "say where it is (--box), try another mask model (--mask-model) or give a mask"),
        (["mask", CUP, "--box", "1,2,3"], 2, "wanted x,y,width,height"),
        (["mask", CUP, "--box", "900,0,10,10"], 2, "within the photo's 600x400"),
        (["mask", CUP, "--keep", "grey.png"], 1, "the mask to keep is 300x200"),
        (["mask", CUP, "-o", "mask.jpg"], 2, "loses nothing"),
        (["export", "nowhere", "out"], 1, "there is no checkpoint nowhere"),
        (["models", "show", "nope"], 1, "there is no model 'nope'"),
        (["models", "pull", "taesd"], 2, "is a part"),
        (["models", "verify", "."], 1, "has no cyclorama.json"),
    ],
)
def test_errors_are_one_clear_line_and_leave_nothing(words: list[str], code: int, says: str) -> None:
    Image.new("RGB", (300, 200), "grey").save("grey.png")
    result = run(*words, code=code)
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    assert says in line
    assert sorted(path.name for path in Path().iterdir()) == ["grey.png"]


def test_models_list_show_verify() -> None:
    listed = run("models", "list").stdout
    assert "nano                   embedded" in listed
    assert "sd15-inpaint           to pull" in listed
    assert "bria-rmbg" in listed
    assert "not for commercial use" in listed
    names = [entry["name"] for entry in json.loads(run("models", "list", "--json").stdout)["models"]]
    assert "lcm-lora-sd15" in names
    shown = run("models", "show", "sd15-inpaint").stdout
    assert "licence      CreativeML OpenRAIL-M" in shown
    assert "download     about 2.1 GB" in shown
    assert "files as they should be" in run("models", "verify", "nano").stdout
    assert "folder" in json.loads(run("models", "show", "nano", "--json").stdout)


def test_doctor_reports_and_tries_both_backends() -> None:
    report = json.loads(run("doctor", "--json").stdout)
    assert report["machine"]["threads used"] >= 1
    assert "quicker than float here" in report["machine"]["int8"]
    assert report["self-test"]["openvino"].startswith("works")
    assert report["self-test"]["onnx"].startswith("works")
    assert "nano" in report["models"]["ready to run"]
    assert "self-test\n" in run("doctor").stdout


def test_export_by_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.checkpoints import make_checkpoint

    make_checkpoint(Path("checkpoint"))
    words = ("export", "checkpoint", "model", "--format", "onnx", "--precision", "auto")
    monkeypatch.setattr("cyclorama.commands.export.int8_instructions", lambda: ["avx512_vnni"])
    refused = run(*words, "--recipe", "hybrid", code=2).stderr
    assert "int8, for this CPU has avx512_vnni" in refused
    assert "the recipe hybrid is for OpenVINO" in refused
    monkeypatch.setattr("cyclorama.commands.export.int8_instructions", list)
    result = run(*words)
    assert "fp16, for this CPU has no instructions for int8" in result.stderr
    assert result.stdout == "model\n"
    assert "note: unet agrees with PyTorch within" in result.stderr
    run("generate", CUP, "-p", "a garden", *QUICK, "--model", "model", "-o", "out.png")
    assert "exists already" in run("export", "checkpoint", "model", code=2).stderr


def test_help_imports_nothing_heavy() -> None:
    """That is what keeps `cyclorama --help` within 0.3 s; it takes 0.1 s on two cores."""
    help_text = subprocess.run(
        [sys.executable, "-m", "cyclorama", "--help"], check=True, capture_output=True, cwd=ROOT
    ).stdout
    assert b"generate" in help_text
    heavy = ("numpy", "PIL", "cyclorama.engine.generator", "huggingface_hub", "tqdm")
    code = f"import sys, cyclorama.cli; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert loaded.stdout.strip() == "[]"


def test_the_reference_is_that_of_the_commands() -> None:
    from cyclorama.commands import reference

    assert reference.FILE.read_text(encoding="utf-8") == reference.reference(), (
        "run: python -m cyclorama.commands.reference"
    )
