"""The page in a real browser: what is painted, in which order, and what comes of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.conftest import PHOTOS
from tests.space.conftest import PageServer, opened
from tests.space.visiting import bring, centre, changed, chosen, covers, downloaded, paint, painted

Visitor = Callable[..., Page]


def test_from_photo_to_picture(visitor: Visitor, small_cat: Path) -> None:
    """Upload, correct by mouse, paint, download: the subject's pixels are the photo's."""
    page = visitor()
    bring(page, small_cat)
    found = covers(page).text_content()

    def brush() -> None:
        page.mouse.move(*centre(page, (280, 30), (300, 200)))
        page.mouse.down()
        page.mouse.move(*centre(page, (285, 80), (300, 200)), steps=6)
        page.mouse.up()

    more = changed(page, brush)
    assert changed(page, lambda: page.get_by_role("button", name="Undo").click()) == found
    assert changed(page, lambda: page.get_by_role("button", name="Redo").click()) == more
    page.get_by_role("button", name="Remove", exact=False).first.click()
    changed(page, brush)
    changed(page, lambda: page.get_by_role("button", name="Undo").click())
    paint(page)
    painted(page)
    picture = np.asarray(opened(downloaded(page, "PNG")))
    alpha = np.asarray(opened(downloaded(page, "Download the mask")))
    photo = np.asarray(Image.open(small_cat).convert("RGB"))
    inside = alpha == 255
    assert inside[30:80, 280:284].all(), "what was brushed over is the subject's"
    assert (picture[inside] == photo[inside]).all()
    assert (picture[alpha == 0] != photo[alpha == 0]).any(-1).mean() > 0.9
    assert opened(downloaded(page, "JPEG")).format == "JPEG"
    assert opened(downloaded(page, "WEBP")).size == (300, 200)
    alone = opened(downloaded(page, "Download the subject alone"))
    assert (np.asarray(alone)[..., 3] == alpha).all()


def test_cancelling_and_a_reload_in_the_middle(visitor: Visitor, page_server: PageServer) -> None:
    page = visitor()
    bring(page, PHOTOS / "coffee.jpg")
    page.get_by_role("radio", name="2").click()
    paint(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled.")).to_be_visible()
    expect(page.get_by_role("button", name="Paint")).to_be_enabled()
    while page_server.queue.running:
        time.sleep(0.01)
    page.get_by_role("button", name="Paint").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.get_by_role("textbox", name="Describe the place")).to_have_value("snowy mountains")
    painted(page)
    expect(page.get_by_role("group", name="Which picture is shown").get_by_role("button")).to_have_count(2)
    # A page of the same browser that has lost its address finds the visit as well.
    page.goto(page_server.address)
    painted(page)


def test_two_visitors_see_their_own_and_their_places(visitor: Visitor, page_server: PageServer) -> None:
    first, second = visitor(), visitor()
    bring(first, PHOTOS / "coffee.jpg")
    bring(second, PHOTOS / "astronaut.jpg")
    gate = page_server.occupied()
    paint(first, "a sandy beach")
    expect(first.get_by_text("you are next")).to_be_visible()
    paint(second, "a green garden")
    expect(second.get_by_text("1 before you")).to_be_visible()
    gate.set()
    for page, size in ((first, (600, 400)), (second, (512, 512))):
        painted(page)
        assert opened(downloaded(page, "PNG")).size == size
        expect(page.get_by_role("button", name="Paint")).to_be_enabled()


def test_a_full_queue_is_told_and_nothing_is_lost(visitor: Visitor, page_server: PageServer) -> None:
    page = visitor()
    bring(page, PHOTOS / "coffee.jpg")
    gate = page_server.occupied()
    waiting = [page_server.queue.submit(lambda job: None, "another", str(i)) for i in range(3)]
    paint(page, "a sandy beach")
    expect(page.get_by_text("The line is full")).to_be_visible()
    expect(page.get_by_role("textbox", name="Describe the place")).to_have_value("a sandy beach")
    gate.set()
    while not all(job.is_over for job in waiting):
        time.sleep(0.01)
    page.get_by_role("button", name="Paint").click()
    painted(page)


@pytest.mark.parametrize("behind", ["A colour", "Blurred", "Nothing", "A picture"])
def test_what_else_goes_behind(visitor: Visitor, small_cat: Path, behind: str) -> None:
    page = visitor()
    bring(page, small_cat)
    page.get_by_role("radio", name=behind).click()
    if behind == "A picture":
        page.get_by_role("button", name="Make the picture").click()
        expect(page.get_by_text("goes behind first")).to_be_visible()
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a picture").click()
        chooser.value.set_files(PHOTOS / "flower.jpg")
        expect(page.locator(".st-key-backdrop .current")).to_be_visible()
    page.get_by_role("button", name="Make the picture").click()
    painted(page)
    picture = np.asarray(opened(downloaded(page, "PNG")))
    alpha = np.asarray(opened(downloaded(page, "Download the mask")))
    if behind == "Nothing":
        assert (picture[..., 3] == alpha).all()
        expect(page.get_by_role("link", name="JPEG")).to_have_count(0)
    if behind == "A colour":
        assert (picture[alpha == 0] == 0xF0).all()
    photo = np.asarray(Image.open(small_cat).convert("RGB"))
    assert (picture[..., :3][alpha == 255] == photo[alpha == 255]).all()


def test_what_was_typed_stays_while_something_else_is_tried(visitor: Visitor, small_cat: Path) -> None:
    page = visitor()
    bring(page, small_cat)
    page.get_by_role("textbox", name="Describe the place").fill("a quiet lake")
    page.get_by_role("radio", name="4").click()
    page.get_by_text("Advanced").click()
    page.get_by_role("spinbutton", name="Seed").fill("7")
    page.get_by_role("radio", name="A colour").click()
    expect(page.get_by_role("textbox", name="Describe the place")).to_have_count(0)
    page.get_by_role("radio", name="Painted").click()
    expect(page.get_by_role("textbox", name="Describe the place")).to_have_value("a quiet lake")
    expect(page.get_by_role("radio", name="4")).to_be_checked()
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_value("7")


def test_examples_options_and_how_to_repeat(visitor: Visitor, small_cat: Path) -> None:
    page = visitor()
    bring(page, small_cat)
    page.get_by_text("a city at night").click()
    expect(page.get_by_role("textbox", name="Describe the place")).to_have_value("a city at night")
    page.get_by_text("Advanced").click()
    page.get_by_role("spinbutton", name="Seed").fill("7")
    page.get_by_role("spinbutton", name="Steps").fill("4")
    page.get_by_role("spinbutton", name="Steps").press("Enter")
    page.get_by_text("Canvas and place").click()
    chosen(page, "Shape", "square")
    for name in ("Advanced", "Canvas and place"):  # what is folded away again counts
        page.get_by_text(name).click()
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_count(0)
    page.get_by_role("button", name="Paint").click()
    painted(page)
    assert opened(downloaded(page, "PNG")).size == (300, 300)
    page.get_by_text("The same from the command line").click()
    command = "cyclorama generate cat.png -p 'a city at night' --model nano --num-inference-steps 4"
    expect(page.get_by_text("--seed 7").first).to_be_visible()
    assert command.split(" --num", maxsplit=1)[0] in (page.locator("code").first.text_content() or "")
    page.get_by_role("button", name="Four more like this").click()
    group = page.get_by_role("group", name="Which picture is shown")
    expect(group.get_by_role("button")).to_have_count(5, timeout=180_000)
    expect(group.get_by_role("button", name="seed 11")).to_be_visible()
    group.get_by_role("button").first.click()
    expect(group.get_by_role("button").first).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("img", name=re.compile("^After: Picture 1"))).to_be_visible()


def test_options_last_though_they_are_folded_away_and_after_a_reload(visitor: Visitor, small_cat: Path) -> None:
    page = visitor()
    seed = page.get_by_role("spinbutton", name="Seed")

    def fold() -> None:
        page.get_by_text("Advanced").click()

    def written(value: str) -> None:
        seed.fill(value)
        seed.press("Enter")
        fold()
        expect(seed).to_have_count(0)

    def is_still(value: str) -> None:
        page.get_by_role("radio", name="grey studio backdrop").click()  # runs of the page in between
        expect(page.get_by_role("textbox", name="Describe the place")).to_have_value("grey studio backdrop")
        page.get_by_role("radio", name="A colour").click()
        expect(page.get_by_role("button", name="Make the picture")).to_be_visible()
        page.get_by_role("radio", name="Painted").click()
        expect(page.get_by_role("textbox", name="Describe the place")).to_have_value("grey studio backdrop")
        fold()
        expect(seed).to_have_value(value)

    bring(page, small_cat)
    fold()
    page.get_by_role("spinbutton", name="Steps").fill("2")
    chosen(page, "Token downsampling", "no")
    written("7")
    is_still("7")
    fold()
    page.get_by_role("button", name="Paint").click()
    painted(page)
    page.get_by_text("The same from the command line").click()
    expect(page.locator("code").first).to_contain_text("--seed 7")
    expect(page.locator("code").first).to_contain_text("--no-token-downsampling")
    page.reload()
    expect(covers(page)).to_contain_text("The subject covers")
    fold()
    expect(seed).to_have_value("7")
    written("9")
    is_still("9")


def test_the_newest_picture_is_shown_and_older_ones_say_what_they_are_of(visitor: Visitor, small_cat: Path) -> None:
    page = visitor()
    bring(page, small_cat)
    group = page.get_by_role("group", name="Which picture is shown")
    for number in (1, 2, 3):
        paint(page, "a beach")
        expect(page.get_by_role("img", name=re.compile(f"^After: Picture {number}"))).to_be_visible(timeout=180_000)
        expect(page.get_by_role("button", name="Paint")).to_be_enabled()
    assert group.get_by_role("button").count() == 3
    expect(page.locator(".compare input")).to_be_visible()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Another photo").click()
    chooser.value.set_files(PHOTOS / "coffee.jpg")
    expect(page.get_by_text("painted with another photo")).to_be_visible()
    expect(page.locator(".compare input")).to_be_hidden()
    expect(page.get_by_role("button", name="Four more like this")).to_have_count(0)


def test_four_ways_and_what_they_vary(visitor: Visitor, small_cat: Path) -> None:
    page = visitor()
    bring(page, small_cat)
    paint(page)
    painted(page)
    page.get_by_role("button", name="Try four ways").click()
    group = page.get_by_role("group", name="Which picture is shown")
    expect(group.get_by_role("button")).to_have_count(5, timeout=180_000)
    for way in ("another seed", "less guidance", "painted smaller", "painted larger"):
        expect(group.get_by_role("button", name=way)).to_have_count(1)
    group.get_by_role("button", name="less guidance").click()
    page.get_by_text("The same from the command line").click()
    expect(page.get_by_text("--guidance-scale 2.0").first).to_be_visible()
