"""The review in a browser: a thousand pictures, and still a page that one wants to use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cyclorama.batch.review import write_review
from cyclorama.batch.worker import REVIEW, thumbnail_name
from tests.conftest import PHOTOS

ROWS, DOUBTFUL = 1000, 40
NAMES = ("cat", "coffee", "astronaut", "bowl", "drum")


def _sheet(name: str) -> bytes:
    """As a worker leaves one: photo, mask and picture side by side."""
    with Image.open(PHOTOS / f"{name}.jpg") as image:
        small = image.resize((200, 200))
    sheet, file = Image.new("RGB", (600, 200)), BytesIO()
    for place in range(3):
        sheet.paste(small, (200 * place, 0))
    sheet.save(file, "JPEG", quality=80)
    return file.getvalue()


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a folder as a run leaves it."""
    folder = tmp_path_factory.mktemp("many")
    (folder / REVIEW).mkdir()
    sheets = [_sheet(name) for name in NAMES]
    lines = []
    for number in range(ROWS):
        output = f"{number:04d}.png"
        doubt = 0.8 if number < DOUBTFUL else 0.1
        lines.append({"output": output, "state": "done", "doubt": doubt, "seconds": 1.5, "seed": number})
        (folder / REVIEW / thumbnail_name(output)).write_bytes(sheets[number % len(sheets)])
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert write_review(folder) == DOUBTFUL
    return folder / "review.html"


@pytest.fixture
def page(browser: Browser, review: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    said: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    page.goto(review.as_uri())
    yield page
    context.close()
    assert not said


def test_every_picture_is_there_and_the_last_is_soon_reached(page: Page) -> None:
    expect(page.locator("li")).to_have_count(ROWS)
    page.mouse.move(200, 400)
    for _ in range(10):
        page.mouse.wheel(0, 3000)
    page.keyboard.press("End")
    last = page.locator("li").last
    expect(last).to_be_in_viewport()
    page.wait_for_function("() => [...document.images].at(-1).naturalWidth > 0")
    assert last.locator("code").inner_text() == "0999.png"


def test_only_those_to_look_at(page: Page) -> None:
    shown = page.locator("li:visible")
    page.get_by_label("only those to look at").check()
    expect(shown).to_have_count(DOUBTFUL)
    page.get_by_label("only those to look at").uncheck()
    expect(shown).to_have_count(ROWS)


def test_it_fits_a_phone_and_a_wide_screen(page: Page) -> None:
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("li img").first.evaluate("one => one.complete && one.naturalWidth") == 600


def test_a_picture_leads_to_its_file(page: Page) -> None:
    assert page.locator("li a").first.get_attribute("href") == "0000.png"
    assert "80% of such masks are wrong" in page.locator("li").first.inner_text()
