"""The page in a real browser: with mouse, keyboard and fingers only, as a visitor has them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, TimeoutError, expect

from tests.conftest import PHOTOS
from tests.space.conftest import PageServer, opened

Visitor = Callable[..., Page]
WORDS = {
    "en": {"choose": "Choose a photo", "covers": "The subject covers", "paint": "Paint"},
}


def bring(page: Page, file: Path | FilePayload) -> None:
    """Chooses a photo by the button, and waits for its mask."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=re.compile("Choose a photo|Another photo")).click()
    chooser.value.set_files(file)
    expect(covers(page)).to_contain_text("The subject covers")


def covers(page: Page):  # type: ignore[no-untyped-def]
    return page.locator(".covers")


def changed(page: Page, act: Callable[[], object]) -> str:
    """Does something, and waits until the mask is another."""
    before = covers(page).text_content() or ""
    act()
    expect(covers(page)).not_to_have_text(before)
    expect(page.locator(".busy")).to_be_hidden()
    return covers(page).text_content() or ""


def downloaded(page: Page, name: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("link", name=name).first.click()
    return Path(download.value.path()).read_bytes()


def paint(page: Page, prompt: str = "snowy mountains") -> None:
    page.get_by_role("textbox", name="Describe the place").fill(prompt)
    page.get_by_role("button", name="Paint").click()


def painted(page: Page, number: int = 1) -> None:
    expect(page.get_by_role("heading", name="Pictures")).to_be_visible(timeout=180_000)
    expect(page.get_by_role("img", name=re.compile("^After"))).to_be_visible()


def chosen(page: Page, name: str, value: str) -> None:
    """Takes a value from a list, which Streamlit closes where it draws anew what was changed before."""
    option = page.get_by_role("option", name=value)
    for _ in range(5):
        page.get_by_role("combobox", name=name).click()
        try:
            option.click(timeout=4_000)
        except TimeoutError:
            continue
        return
    pytest.fail(f"{value} could not be chosen")


def centre(page: Page, at: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """Where a pixel of the photo is on the screen, to the whole pixel."""
    canvas = page.locator(".stage canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    scale = min(box["width"] / size[0], box["height"] / size[1])
    left = box["x"] + (box["width"] - size[0] * scale) / 2
    top = box["y"] + (box["height"] - size[1] * scale) / 2
    return round(left + (at[0] + 0.5) * scale), round(top + (at[1] + 0.5) * scale)


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
