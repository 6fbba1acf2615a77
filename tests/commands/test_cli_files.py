"""The command line and a person's files: pipes, links, names of any bytes, inputs that are never lost."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cyclorama.cli import main
from tests.conftest import PHOTOS, ROOT

CUP = PHOTOS / "coffee.jpg"
QUICK = ("--steps", "2", "--seed", "1")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str, code: int = 0, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(main, list(words), input=stdin)
    assert result.exit_code == code, result.output
    if code:
        assert "Traceback" not in result.output
    return result


def mask_file(name: str = "mask.png") -> str:
    mask = Image.new("L", (600, 400))
    mask.paste(255, (200, 100, 400, 350))
    mask.save(name)
    return name


def test_from_standard_input_to_standard_output() -> None:
    photo = CUP.read_bytes()
    mask_file()
    for kind, begins in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("webp", b"RIFF")):
        words = ("generate", "-", "-p", "a garden", *QUICK, "--mask", "mask.png", "-o", "-", "--format", kind)
        piped = run(*words, stdin=photo)
        assert piped.stdout_bytes.startswith(begins)
        assert "note: seed 1" in piped.stderr
    run("generate", str(CUP), "-p", "a garden", *QUICK, "--mask", "mask.png", "-o", "file.png")
    piped = run("generate", "-", "-p", "a garden", *QUICK, "--mask", "mask.png", "-o", "-", stdin=photo)
    assert piped.stdout_bytes == Path("file.png").read_bytes()
    mask = Path("mask.png").read_bytes()
    piped = run("generate", str(CUP), "-p", "a garden", *QUICK, "--mask", "-", "-o", "-", stdin=mask)
    assert piped.stdout_bytes == Path("file.png").read_bytes()
    run("generate", str(CUP), "--background", "-", "--mask", "mask.png", "-o", "given.png", stdin=photo)
    np.testing.assert_array_equal(np.asarray(Image.open("given.png")), np.asarray(Image.open(CUP)))
    run("mask", "-", "-o", "subject.png", stdin=photo)
    assert run("mask", "-", "-o", "-", stdin=photo).stdout_bytes == Path("subject.png").read_bytes()
    assert run("mask", "-", stdin=photo).stdout == "stdin-mask.png\n"
    assert run("generate", "-", "--background", "white", stdin=photo).stdout == "stdin-background.png\n"


def test_a_real_pipe_holds_the_picture_and_nothing_else() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "cyclorama", "generate", "-", "-p", "a dragon", *QUICK, "-o", "-"],
        input=CUP.read_bytes(), capture_output=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    Path("out.png").write_bytes(process.stdout)
    with Image.open("out.png") as image:
        image.load()
        assert image.size == (600, 400)
        assert image.info["parameters"].startswith("a dragon")
    assert b"does not know dragon" in process.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "-", "--count", "2"), "standard output takes one picture"),
        (("-o", "-", "--json"), "--json prints to standard output too"),
        (("-o", "a.png", "--format", "png"), "--format goes with -o -"),
        (("-o", "-", "--mask", "-"), "photo and mask cannot both be"),
    ],
)
def test_what_cannot_go_through_a_pipe(words: tuple[str, ...], said: str) -> None:
    result = run("generate", "-", "-p", "a garden", *words, code=2, stdin=CUP.read_bytes())
    assert said in result.stderr
    assert result.stdout == ""


def test_no_input_is_ever_overwritten() -> None:
    for name in ("photo.png", "mask.png", "keep.png", "drop.png", "background.png"):
        mask_file(name)
    Image.open(CUP).save("photo.png")
    Path("photo.png").chmod(0o444)
    Path("link.png").symlink_to("photo.png")
    before = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in Path().iterdir()}
    cases: list[tuple[str, ...]] = [
        ("generate", "photo.png", "-p", "x", "-o", "photo.png"),
        ("generate", "photo.png", "-p", "x", "-o", "./photo.png"),
        ("generate", "photo.png", "-p", "x", "-o", "link.png"),
        ("generate", "photo.png", "-p", "x", "--mask", "mask.png", "-o", "mask.png"),
        ("generate", "photo.png", "-p", "x", "--keep", "keep.png", "-o", "keep.png"),
        ("generate", "photo.png", "-p", "x", "--drop", "drop.png", "-o", "drop.png"),
        ("generate", "photo.png", "--background", "background.png", "-o", "background.png"),
        ("generate", "photo.png", "--background", "white", "-o", "photo.png"),
        ("generate", "photo.png", "--blur", "-o", "photo.png"),
        ("mask", "photo.png", "-o", "photo.png"),
        ("mask", "photo.png", "--cutout", "--drop", "drop.png", "-o", "drop.png"),
    ]
    for words in cases:
        assert "is an input itself and would be lost" in run(*words, code=2).stderr
    assert before == {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in Path().iterdir()}


def cyclorama(*words: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cyclorama", *words], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, **streams,
    )  # fmt: skip


def test_an_input_that_a_shell_opened_is_not_overwritten() -> None:
    mask_file()
    Path("photo.jpg").write_bytes(CUP.read_bytes())
    for words, name in (
        (("generate", "-", "--mask", "mask.png", "--background", "white"), "photo.jpg"),
        (("generate", "photo.jpg", "--mask", "-", "--background", "white"), "mask.png"),
        (("mask", "-"), "mask.png"),
    ):
        before = Path(name).read_bytes()
        with Path(name).open("rb") as file:
            ran = cyclorama(*words, "-o", name, stdin=file)
        assert ran.returncode == 2, ran.stderr
        assert "is an input itself" in ran.stderr
        assert Path(name).read_bytes() == before


def test_closed_streams() -> None:
    for words, streams in (("generate - --background white -o a.png", "<&-"), ("mask photo.jpg -o -", ">&-")):
        Path("photo.jpg").write_bytes(CUP.read_bytes())
        line = f"{sys.executable} -m cli {words} {streams}"
        ran = subprocess.run(
            line, shell=True, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert ran.returncode == 2, ran.stderr
        assert "is closed" in ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_background_of_an_odd_name() -> None:
    for name in ("x" * 300, "https://example.org/a.jpg"):
        result = run("generate", str(CUP), "--background", name, code=1)
        assert "there is no file" in result.stderr or "is a web address" in result.stderr


def test_links_are_followed_and_modes_kept(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "out.png"
    target.write_bytes(b"old")
    target.chmod(0o600)
    Path("out.png").symlink_to(target)
    run("generate", str(CUP), "--background", "white", "-o", "out.png")
    assert Path("out.png").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    with Image.open(target) as image:
        assert image.size == (600, 400)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--canvas", "16400x40", "-o", "a.webp"), "WEBP holds at most 16383 pixels a side"),
        (("--canvas", "65600x40", "-o", "a.jpg"), "JPEG holds at most 65500 pixels a side"),
        (("-o", "a" * 260 + ".png"), "name is too long"),
        (("-o", "a.gif"), "must end in"),
        (("-o", "nowhere/a.png"), "there is no folder nowhere"),
    ],
)
@pytest.mark.parametrize("what", [("-p", "a garden"), ("--background", "white")])
def test_what_can_be_known_is_refused_before_any_work(
    words: tuple[str, ...], said: str, what: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr("cyclorama.engine.cutout.subject_alpha", refuse)
    result = CliRunner().invoke(main, ["generate", str(CUP), *what, *words])
    assert result.exit_code in (1, 2), result.output
    assert said in result.stderr
    assert list(Path().iterdir()) == []


def test_a_prompt_too_long_for_the_format_is_refused_before_any_work() -> None:
    prompt = "a very long garden " * 2000
    assert "more than JPEG can name" in run("generate", str(CUP), "-p", prompt, "-o", "a.jpg", code=2).stderr
    run("generate", str(CUP), "-p", prompt, *QUICK, "-o", "a.webp")


NOT_TEXT = os.fsdecode(b"caf\xe9-\xff.jpg")


def test_names_that_are_no_text() -> None:
    Path(NOT_TEXT).write_bytes(CUP.read_bytes())
    out = os.fsdecode(b"out-\xff.png")
    result = run("generate", NOT_TEXT, "--background", "white", "-o", out)
    assert result.stdout_bytes == os.fsencode(out) + b"\n"
    told = json.loads(run("generate", NOT_TEXT, "--background", "white", "-o", out, "--json").stdout_bytes)
    assert (told["photo"], told["images"][0]["file"]) == (NOT_TEXT, out)
    assert Path(out).is_file()
    assert run("mask", NOT_TEXT).stdout_bytes == os.fsencode(NOT_TEXT.replace(".jpg", "-mask.png")) + b"\n"
    run("generate", NOT_TEXT + "x", "--background", "white", code=1)


def heic() -> bytes:
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)


MISLEADING = {
    "photo.jpg": (heic(), "HEIC photo"),
    "video.jpg": (b"\0\0\0\x18ftypisom" + bytes(100), "is a video, no image"),
    "page.png": (b"<!DOCTYPE html>", "is a web page, no image"),
    "document.jpg": (b"%PDF-1.7", "is a PDF document"),
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer.*git lfs pull"),
    "nothing.jpg": (b"", "is empty"),
    "cut.png": (b"\x89PNG\r\n\x1a\n" + bytes(30), "damaged"),
    "new.jpg": (b"\xff\x0a" + bytes(40), "JPEG XL"),
}


@pytest.mark.parametrize("name", MISLEADING)
def test_a_photo_is_what_its_content_says(name: str) -> None:
    import re

    content, said = MISLEADING[name]
    Path(name).write_bytes(content)
    result = run("mask", name, code=1)
    assert re.search(said, result.stderr), result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert name in result.stderr


def test_other_places_where_no_photo_is() -> None:
    Path("loop.png").symlink_to("loop.png")
    Path("lost.png").symlink_to("gone.png")
    for name, said in (
        ("loop.png", "leads back to itself"), ("lost.png", "link to gone.png"), ("none.png", "no file none.png"),
        ("https://example.org/a.jpg", "https://example.org/a.jpg is a web address"), (".", "is a folder"),
        ("x" * 300, "longer than a file name can be"), ("loop.png/a", "leads back to itself"),
    ):  # fmt: skip
        result = run("mask", name, "-o", "out.png", code=1)
        assert said in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("https://example.org/owner/name", "is a web address"), ("owner/name", "cyclorama export owner/name OUT_DIR"),
        ("nono", "no model 'nono'"),
    ],
)  # fmt: skip
def test_models_that_are_not_here(model: str, said: str) -> None:
    assert said in run("generate", str(CUP), "-p", "x", "--model", model, code=1).stderr


@pytest.mark.parametrize(
    "prompt", ["", "  ", "\u200b\u200d", "\ufeff", "\u00ad\u2060", "...", "\ufe0f", "\u3164\u115f\u2800"]
)
def test_prompts_that_say_nothing(prompt: str) -> None:
    assert "the prompt is empty" in run("generate", str(CUP), "-p", prompt, code=2).stderr


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a dragon in a kitchen", "nano does not know dragon\n"),
        ("ein Strand bei Sonnenuntergang", "does not know ein, strand, bei, sonnenuntergang; it paints"),
        ("海辺の夕日", "nano does not know"),
        ("🐉🏰", "no word of the prompt names a place that nano was trained on; it paints out-of-focus"),
        ("a castle", "no word of the prompt names a place"),
        ("a sandy beach at sunset", None),
        ("Grey studio backdrop, 4k", None),
    ],
)
def test_what_nano_does_not_know_is_said(prompt: str, said: str | None) -> None:
    mask_file()
    result = run("generate", str(CUP), "-p", prompt, "--steps", "1", "--mask", "mask.png", "-o", "a.png", "--json")
    notes = json.loads(result.stdout)["images"][0]["notes"]
    if said is None:
        assert notes == []
    else:
        assert said in "\n".join(notes) + "\n"
        assert result.stderr.count("note: ") == 1 + len(notes)


def without_a_home(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "CYCLORAMA_HOME")}
    return subprocess.run(
        ["unshare", "--user", "--map-user=12345", sys.executable, "-m", "cyclorama", *words],
        capture_output=True, text=True, check=False, env={**environment, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_without_a_home_every_command_runs_or_says_what_to_set(tmp_path: Path) -> None:
    """A container's user that no list knows, and no HOME."""
    tmp_path.chmod(0o777)
    mask_file()
    for words in (
        ("models", "list"), ("models", "show", "sd15-inpaint"), ("models", "verify", "nano"),
        ("mask", str(CUP), "-o", "out.png"), ("generate", str(CUP), "-p", "a beach", *QUICK, "-o", "a.png"),
    ):  # fmt: skip
        ran = without_a_home(*words)
        assert ran.returncode == 0, ran.stderr
    examined = without_a_home("doctor")
    assert examined.returncode == 0
    assert "set CYCLORAMA_HOME" in examined.stdout
    for words, variable in (
        (("models", "pull", "sd15-inpaint"), "set CYCLORAMA_HOME"),
        (("export", "nano", "out"), "set HOME"),
        (("benchmark", "--quick"), "set HOME"),
        (("mask", str(CUP), "--mask-model", "isnet-general-use"), "set CYCLORAMA_HOME"),
    ):
        ran = without_a_home(*words)
        assert ran.returncode == 1, words
        assert variable in ran.stderr.splitlines()[-1]
        assert "Traceback" not in ran.stderr
    assert not Path("~").exists()


def test_doctor_exits_with_1_where_anything_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = {"onnx": "works", "openvino": "fails: it is broken"}
    monkeypatch.setattr("cyclorama.engine.doctor._try", tried.__getitem__)
    assert "fails: it is broken" in run("doctor", code=1).output
    monkeypatch.setattr("cyclorama.engine.doctor._try", lambda backend: "works")
    run("doctor")


def test_a_terminal_without_a_size_gets_its_bar(tmp_path: Path) -> None:
    """As in many containers: 0 columns by 0 lines."""
    import pty

    mask_file()
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cyclorama", "generate", str(CUP), "-p", "a beach", *QUICK, "--mask", "mask.png"],
        stderr=follower, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert process.wait() == 0
    assert b"loading nano" in shown
    assert b"2/2" in shown
