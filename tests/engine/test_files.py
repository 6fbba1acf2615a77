"""Files that a person gets: whole, in their place, and never in the place of what they gave."""

from __future__ import annotations

import os
import stat
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from cyclorama import Background, cut_out
from cyclorama.engine import files
from cyclorama.engine.errors import CannotWrite, CycloramaError, InvalidOptions
from cyclorama.engine.files import check_file, check_format, check_output, encode_image, write_whole

RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def test_parameters_travel_with_the_file(tmp_path: Path) -> None:
    text = "пляж at sunset\nSteps: 20, Seed: 7"
    write_whole(tmp_path / "a.png", encode_image(Image.fromarray(RGB), "PNG", parameters=text))
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["parameters"] == text
        np.testing.assert_array_equal(np.asarray(image), RGB)
    for ending, kind in (("jpg", "JPEG"), ("webp", "WEBP")):
        write_whole(tmp_path / f"a.{ending}", encode_image(Image.fromarray(RGB), kind, parameters=text))
        with Image.open(tmp_path / f"a.{ending}") as image:
            comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
        assert comment == b"UNICODE\x00" + text.encode("utf-16-be")


def test_writing_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "a.png"
    out.write_text("the picture of yesterday")

    def fail(handle: int, mode: str) -> None:
        os.write(handle, b"half")
        os.close(handle)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cyclorama.models.atomic.os.fdopen", fail)
    with pytest.raises(CannotWrite, match="No space left"):
        write_whole(out, b"the picture of today")
    monkeypatch.undo()
    assert out.read_text() == "the picture of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


def test_the_umask_is_never_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to the process: for as long as it is 0, files of other threads are open to all."""

    def refuse(mask: int) -> int:
        raise AssertionError("os.umask was called")

    monkeypatch.setattr(os, "umask", refuse)
    write_whole(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_a_replaced_file_keeps_mode_and_owner(tmp_path: Path) -> None:
    out = tmp_path / "a"
    out.write_bytes(b"old")
    out.chmod(0o640)
    if os.getuid() == 0:
        os.chown(out, 1234, 5678)
    old = out.stat()
    write_whole(out, b"new")
    new = out.stat()
    assert (new.st_mode, new.st_uid, new.st_gid) == (old.st_mode, old.st_uid, old.st_gid)
    assert out.read_bytes() == b"new"


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "a.png"
    target.write_bytes(b"old")
    for name, leads_to in (("absolute", target), ("relative", Path("real/a.png")), ("dangling", Path("real/new.png"))):
        link = tmp_path / f"{name}.png"
        link.symlink_to(leads_to)
        check_output(link)
        write_whole(link, name.encode())
        assert link.is_symlink()
        assert (tmp_path / leads_to).read_bytes() == name.encode()


def test_what_cannot_be_written_is_refused_before(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "lost.png").symlink_to("nowhere/a.png")
    (tmp_path / "a-file").write_bytes(b"")
    for name, reason in (
        ("folder.png", "it is a folder"),
        ("pipe.png", "no regular file"),
        ("loop.png", "leads back to itself"),
        ("lost.png", "there is no folder .*nowhere"),
        ("none/a.png", "there is no folder"),
        ("a-file/a.png", "is no folder"),
        ("a" * 252 + ".png", r"name is too long \(256 bytes\)"),
    ):
        with pytest.raises(CannotWrite, match=reason) as error:
            check_output(tmp_path / name)
        assert "\n" not in str(error.value)
    check_output(tmp_path / ("a" * 251 + ".png"))
    with pytest.raises(InvalidOptions, match=r"must end in \.png"):
        check_output(tmp_path / "a.tiff")


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"the only copy")
    (tmp_path / "link.png").symlink_to(photo)
    os.link(photo, tmp_path / "hard.png")
    (tmp_path / "sub").mkdir()
    for name in (photo, tmp_path / "link.png", tmp_path / "hard.png", tmp_path / "sub" / ".." / "photo.png"):
        with pytest.raises(InvalidOptions, match="is an input itself"):
            check_file(name, [None, b"bytes", str(photo), "\0"])
    check_file(tmp_path / "other.png", [photo, tmp_path / "other.png"])  # not there yet: nothing can be lost


def test_a_format_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    """And holds what it does not refuse."""
    for kind, most in files._LONGEST_SIDE.items():
        encode_image(Image.new("RGB", (most, 1)), kind)
        with pytest.raises(InvalidOptions, match=f"{kind} holds at most {most} pixels a side.*{most + 1}x1; write PNG"):
            check_format(kind, size=(most + 1, 1))
        with pytest.raises((OSError, ValueError)):
            Image.new("RGB", (most + 1, 1)).save(tmp_path / "a", kind)
    with pytest.raises(InvalidOptions, match="has no transparency"):
        check_format("JPEG", has_alpha=True)
    longest = "ä" * ((files._LONGEST_EXIF["JPEG"] - files._AROUND_A_PROMPT) // 2)
    check_format("JPEG", text=longest)
    encode_image(Image.new("RGB", (8, 8)), "JPEG", parameters=longest + "x" * 900)
    with pytest.raises(InvalidOptions, match="more than JPEG can name; write PNG"):
        check_format("JPEG", text=longest + "ä")
    with pytest.raises(InvalidOptions, match="too long for EXIF in JPEG; write PNG"):
        encode_image(Image.new("RGB", (8, 8)), "JPEG", parameters="x" * 40_000)
    for kind in ("PNG", "WEBP"):
        check_format(kind, text="x" * 100_000)
        encode_image(Image.new("RGB", (8, 8)), kind, parameters="x" * 100_000)


def test_exif_too_long_for_jpeg_is_slimmed() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 60_000
    exif[ExifTags.Base.Artist] = "me"
    data = encode_image(Image.fromarray(RGB), "JPEG", parameters="a beach " * 1000, exif=exif.tobytes())
    with Image.open(BytesIO(data)) as image:
        tags = image.getexif()
        assert tags[ExifTags.Base.Artist] == "me"
        assert ExifTags.Base.ImageDescription not in tags
        assert len(tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]) == 8 + 16_000


def test_many_threads_write_one_name(tmp_path: Path) -> None:
    out = tmp_path / "a.bin"
    contents = [bytes([number]) * 200_000 for number in range(8)]
    errors: list[CycloramaError] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(10):
                write_whole(out, content)
        except CycloramaError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if out.exists():
            assert out.read_bytes() in contents
    assert errors == []
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("kind", ["JPEG", "webp"])
def test_a_file_of_at_most_so_many_bytes_has_the_best_quality_that_fits(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    picture = cut_out(noise, mask=np.pad(np.full((80, 100), 255, np.uint8), ((20, 20), (30, 30)))).on(
        Background.colour("white")
    )
    sizes = {quality: len(picture.encode(kind, quality=quality)) for quality in (20, 50, 51, 80, 95)}
    assert sizes[20] < sizes[50] < sizes[80] < sizes[95] == len(picture.encode(kind))
    assert picture.encode(kind, max_bytes=sizes[50]) in (
        picture.encode(kind, quality=50), picture.encode(kind, quality=51)
    )  # fmt: skip
    assert picture.encode(kind, max_bytes=sizes[95]) == picture.encode(kind)
    assert len(picture.encode(kind, quality=50, max_bytes=10**6)) == sizes[50]
    with pytest.raises(InvalidOptions, match=r"even at quality 1 the file would have \d+ bytes, more than 100; allow"):
        picture.encode(kind, max_bytes=100)


def test_a_png_has_no_quality_to_lower(tmp_path: Path) -> None:
    picture = cut_out(RGB, mask=np.pad(np.full((RGB.shape[0] - 8, RGB.shape[1] - 8), 255, np.uint8), 4)).on(
        Background.colour("white")
    )
    with pytest.raises(InvalidOptions, match="a PNG loses nothing and has no quality"):
        picture.save(tmp_path / "a.png", quality=80)
    with pytest.raises(InvalidOptions, match=r"the PNG would have \d+ bytes, more than 50; write JPEG or WebP"):
        picture.save(tmp_path / "a.png", max_bytes=50)
    assert not list(tmp_path.iterdir())
    picture.save(tmp_path / "a.jpg", quality=80)
    assert (tmp_path / "a.jpg").read_bytes() == picture.encode("jpeg", quality=80)


@pytest.mark.parametrize("has_alpha", [False, True])
def test_colours_are_converted_to_srgb_where_that_is_asked_for(has_alpha: bool) -> None:
    """Against LittleCMS's own way from a profile whose red and green are exchanged."""
    swapped = _swapped_profile()
    rgb = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    photo = Image.fromarray(rgb)
    with BytesIO() as file:
        photo.save(file, "png", icc_profile=swapped)
        data = file.getvalue()
    mask = np.pad(np.full((32, 42), 255, np.uint8), 4)
    background = Background.transparent() if has_alpha else Background.colour("white")
    picture = cut_out(data, mask=mask).on(background)
    kept = Image.open(BytesIO(picture.encode("png")))
    converted = Image.open(BytesIO(picture.encode("png", srgb=True)))
    assert kept.info["icc_profile"] == swapped
    assert "icc_profile" not in converted.info
    assert converted.mode == kept.mode
    inside = np.s_[8:-8, 8:-8]
    wanted = np.asarray(kept)[inside][..., [1, 0, 2]]
    assert np.abs(np.asarray(converted)[inside][..., :3].astype(int) - wanted).max() <= 2


def _swapped_profile() -> bytes:
    """sRGB with its red and green primaries exchanged, by exchanging the names of the two in the table of tags."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
