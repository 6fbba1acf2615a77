"""The page in a real browser: the photo and its mask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from cyclorama import Cutout
from tests.conftest import PHOTOS
from tests.space.conftest import PageServer, opened
from tests.space.visiting import bring, centre, changed, covers, downloaded, painted

Visitor = Callable[..., Page]


def test_mouse_keyboard_and_fingers_correct_alike(visitor: Visitor, small_cat: Path) -> None:
    at = (240, 50)
    by_mouse, by_keys = visitor(), visitor()
    by_touch = visitor(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2)
    for page in (by_mouse, by_keys, by_touch):
        bring(page, small_cat)
    changed(by_mouse, lambda: by_mouse.mouse.click(*centre(by_mouse, at, (300, 200))))

    def keys() -> None:
        # Everything by keyboard: from the top of the page until the canvas has the focus.
        for _ in range(40):
            by_keys.keyboard.press("Tab")
            if by_keys.evaluate("() => document.activeElement.shadowRoot?.activeElement?.tagName") == "CANVAS":
                break
        for key, times in (("Shift+ArrowRight", 9), ("Shift+ArrowUp", 5)):
            for _ in range(times):
                by_keys.keyboard.press(key)
        by_keys.keyboard.press("Space")

    changed(by_keys, keys)
    expect(by_keys.locator(".crosshair")).to_have_text("Crosshair at 240, 50")
    changed(by_touch, lambda: by_touch.touchscreen.tap(*centre(by_touch, at, (300, 200))))
    masks = [downloaded(page, "Download the mask") for page in (by_mouse, by_keys, by_touch)]
    assert masks[0] == masks[1] == masks[2]


def test_the_editor_keeps_its_keys_from_streamlit(visitor: Visitor, small_cat: Path) -> None:
    page = visitor()
    bring(page, small_cat)
    page.locator(".stage canvas").focus()
    page.keyboard.press("ArrowLeft")
    for key in ("r", "c", "Escape", "]", "x"):
        page.keyboard.press(key)
    page.wait_for_timeout(600)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".crosshair")).to_have_text("Crosshair at 149, 100")
    changed(page, lambda: page.keyboard.press("Space"))
    changed(page, lambda: page.keyboard.press("Control+z"))
    page.get_by_text("Keyboard and box in numbers").click()
    for name, value in (("Left", "30"), ("Top", "10"), ("Width", "150"), ("Height", "180")):
        page.get_by_label(name).fill(value)
    changed(page, lambda: page.get_by_label("Height").press("Enter"))
    changed(page, lambda: page.get_by_role("button", name="No box").click())


def test_what_cannot_be_used_is_told_in_words(visitor: Visitor, small_cat: Path) -> None:
    page = visitor()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a photo").click()
    chooser.value.set_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff broken"})
    expect(page.get_by_role("alert").filter(has_text="cannot be used")).to_be_visible()
    bring(page, small_cat)  # and the page goes on
    grey = Image.new("RGB", (320, 200), (128, 128, 128))
    data = small_cat.with_name("grey.png")
    grey.save(data)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Another photo").click()
    chooser.value.set_files(data)
    expect(page.get_by_text("No subject was found")).to_be_visible()
    expect(page.get_by_role("button", name="Paint")).to_be_disabled()
    page.get_by_role("button", name="Box").first.click()

    def box() -> None:
        page.mouse.move(*centre(page, (60, 40), (320, 200)))
        page.mouse.down()
        page.mouse.move(*centre(page, (200, 160), (320, 200)), steps=4)
        page.mouse.up()

    box()  # an even grey has no subject in a box either
    expect(page.get_by_text("No subject was found")).to_be_visible()
    page.get_by_role("button", name="Add").first.click()
    page.mouse.click(*centre(page, (120, 100), (320, 200)))
    expect(covers(page)).to_contain_text("The subject covers")
    expect(page.get_by_role("button", name="Paint")).to_be_enabled()


def test_the_page_can_be_used_while_the_subject_is_looked_for(
    visitor: Visitor, page_server: PageServer, small_cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, cutout = threading.Event(), page_server.service.cutout

    def slow(*given: Any) -> Cutout:
        assert let_go.wait(30)
        return cutout(*given)

    monkeypatch.setattr(page_server.service, "cutout", slow)
    page = visitor()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a photo").click()
    chooser.value.set_files(small_cat)
    try:
        expect(covers(page)).to_have_text("Looking for the subject …")
        expect(page.locator(".busy")).to_be_visible()
        page.get_by_role("textbox", name="Describe the place").fill("snowy mountains")
        page.get_by_role("radio", name="2").click()  # which runs the page anew
        page.get_by_text("Advanced").click()
        page.get_by_role("spinbutton", name="Seed").fill("7")
        page.get_by_role("button", name="Paint").click()
        expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        expect(covers(page)).to_have_text("Looking for the subject …")
    finally:
        let_go.set()
    expect(covers(page)).to_contain_text("The subject covers")
    expect(page.locator(".busy")).to_be_hidden()
    painted(page)
    expect(page.get_by_role("button", name="seed 8")).to_be_visible()
    expect(page.get_by_role("textbox", name="Describe the place")).to_have_value("snowy mountains")
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_value("7")
    expect(page.get_by_role("radio", name="2")).to_be_checked()


def test_drop_and_paste(visitor: Visitor) -> None:
    page = visitor()
    page.get_by_role("button", name="Photo of a drum").click()  # a sample
    expect(covers(page)).to_contain_text("The subject covers")
    first = covers(page).text_content()
    # The clipboard gets a picture as another program would put it there.
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("""async () => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 451, height: 300 });
        const image = new Image();
        image.src = "page/samples/cat.jpg";
        await image.decode();
        canvas.getContext("2d").drawImage(image, 0, 0);
        const blob = await new Promise((done) => canvas.toBlob(done));
        await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    }""")
    page.get_by_role("heading", name="Cyclorama").click()
    page.keyboard.press("Control+v")
    expect(covers(page)).not_to_have_text(first or "")
    expect(covers(page)).to_contain_text("The subject covers")


def test_in_german(visitor: Visitor) -> None:
    page = visitor(locale="de-AT")
    page.get_by_role("button", name="Foto einer Katze").click()
    expect(covers(page)).to_contain_text("Das Motiv bedeckt")
    assert page.evaluate("document.documentElement.lang") == "de"
    page.get_by_role("textbox", name="Beschreibe den Ort").fill("   ")
    page.get_by_role("button", name="Malen").click()
    expect(page.get_by_role("alert").filter(has_text="Beschreibe zuerst den Ort")).to_be_visible()


def test_a_large_photo(visitor: Visitor, tmp_path: Path) -> None:
    file = tmp_path / "large.jpg"
    Image.open(PHOTOS / "cat.jpg").resize((6000, 4000)).save(file, quality=80)
    page = visitor()
    bring(page, file)
    changed(page, lambda: page.mouse.click(*centre(page, (5600, 400), (6000, 4000))))
    assert opened(downloaded(page, "Download the mask")).size == (6000, 4000)


def test_deleting(visitor: Visitor, page_server: PageServer, small_cat: Path) -> None:
    page = visitor()
    bring(page, small_cat)
    visit = page.url.partition("visit=")[2]
    assert page_server.visits.find(visit)
    page.get_by_role("button", name="Delete my photo").click()
    page.get_by_role("button", name="Yes, delete them").click()
    expect(page.get_by_text("Your photo and pictures are deleted")).to_be_visible()
    assert not (page_server.visits.folder / visit).exists()
    expect(page.get_by_role("button", name="Choose a photo")).to_be_visible()


def strokes_kept(server: PageServer, page: Page) -> int:
    visit = server.visits.find(page.url.partition("visit=")[2])
    assert visit is not None
    return len(visit.strokes)


@pytest.mark.parametrize("gap", [20, 300, 600])
def test_quick_strokes_are_all_kept(visitor: Visitor, page_server: PageServer, small_cat: Path, gap: int) -> None:
    page = visitor()
    bring(page, small_cat)
    for x in (270, 276, 282, 288, 294):
        page.mouse.click(*centre(page, (x, 20), (300, 200)))
        page.wait_for_timeout(gap)
    expect(page.locator(".busy")).to_be_hidden()
    assert strokes_kept(page_server, page) == 5
    for _ in range(5):
        page.get_by_role("button", name="Undo").click()
        page.wait_for_timeout(gap)
    expect(page.locator(".busy")).to_be_hidden()
    assert strokes_kept(page_server, page) == 0


def test_strokes_of_another_photo_visit_or_tab_are_not_news(
    visitor: Visitor, page_server: PageServer, small_cat: Path
) -> None:
    page = visitor()
    bring(page, small_cat)
    changed(page, lambda: page.mouse.click(*centre(page, (280, 20), (300, 200))))
    other = page.context.new_page()
    other.goto(page.url)
    expect(covers(other)).to_contain_text("The subject covers")
    changed(other, lambda: other.mouse.click(*centre(other, (280, 60), (300, 200))))
    page.get_by_role("textbox", name="Describe the place").fill("a beach")
    page.get_by_role("radio", name="2").click()
    page.wait_for_timeout(1500)
    assert strokes_kept(page_server, page) == 2
    visit = page_server.visits.find(page.url.partition("visit=")[2])
    assert visit is not None
    page_server.visits.forget(visit)
    before = page.url
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Another photo").click()
    chooser.value.set_files(PHOTOS / "coffee.jpg")
    page.wait_for_url(lambda url: url != before)
    page.wait_for_timeout(1500)
    assert strokes_kept(page_server, page) == 0


def test_a_stroke_that_leaves_nothing_is_told_and_taken_back(
    visitor: Visitor, page_server: PageServer, small_cat: Path
) -> None:
    page = visitor()
    bring(page, small_cat)
    found = covers(page).text_content()
    page.get_by_role("button", name="Remove", exact=False).first.click()
    page.locator(".size input").fill("5")
    page.mouse.move(*centre(page, (5, 5), (300, 200)))
    page.mouse.down()
    for number in range(12):
        page.mouse.move(*centre(page, (295 if number % 2 else 5, 5 + 17 * number), (300, 200)), steps=12)
    page.mouse.up()
    expect(page.get_by_text("No subject was found")).to_be_visible()
    assert strokes_kept(page_server, page) == 0
    expect(covers(page)).to_have_text(found or "")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
