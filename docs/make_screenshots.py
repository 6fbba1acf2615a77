"""The page in every state, as pictures: `python docs/make_screenshots.py [FOLDER]`, by default out/screenshots.

Needs the extra `page`, Playwright, and Chromium (`make browser`). `make screenshots` puts three into docs/page/.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from cyclorama.benchmarks.serving import server

PHOTOS = Path(__file__).with_name("photos")
SCREENS = (
    ("desktop-light", {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}, "en-GB"),
    ("desktop-dark", {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"}, "en-GB"),
    ("phone-dark", {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True}, "de-DE"),
)  # fmt: skip


def states(page: Page, german: bool) -> Iterator[str]:
    """Brings the page from state to state, and names each."""

    def word(english: str, of_german: str) -> str:
        return of_german if german else english

    wait = page.wait_for_timeout
    expect(page.get_by_role("button", name=word("Choose a photo", "Foto auswählen"))).to_be_visible()
    wait(700)
    yield "1-empty"
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=word("Choose a photo", "Foto auswählen")).click()
    chooser.value.set_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"broken"})
    expect(page.get_by_role("alert").filter(has_text=word("cannot be used", "nicht verwenden"))).to_be_visible()
    yield "2-error"
    page.get_by_role("button", name=word("Photo of an astronaut", "Foto einer Astronautin")).click()
    expect(page.locator(".editor .downloads a").first).to_be_visible()
    wait(900)
    yield "3-mask"
    box = page.locator(".stage canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.25)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.83, box["y"] + box["height"] * 0.5, steps=8)
    yield "4-brushing"
    page.mouse.up()
    wait(1500)
    page.get_by_role("button", name=word("Undo", "Rückgängig")).click()
    page.get_by_role("button", name=word("Cut out", "Freigestellt")).click()
    wait(1200)
    yield "5-cut-out"
    page.get_by_role("button", name=word("Overlay", "Überlagert")).click()
    page.get_by_text(word("Advanced", "Für Fortgeschrittene")).click()
    wait(600)
    yield "6-advanced"
    page.get_by_text(word("Advanced", "Für Fortgeschrittene")).click()
    page.get_by_role("textbox", name=word("Describe the place", "Beschreibe den Ort")).fill("a sandy beach at sunset")
    page.get_by_role("radio", name="4").click()
    wait(500)
    page.get_by_role("button", name=word("Paint", "Malen")).click()
    page.locator("img.preview").scroll_into_view_if_needed(timeout=30_000)
    wait(300)
    yield "7-painting"
    after = page.get_by_role("img", name=word("After", "Nachher"))
    expect(after).to_be_visible(timeout=60_000)
    after.scroll_into_view_if_needed()
    page.locator(".compare input").fill("50")
    wait(900)
    yield "8-results"


def shoot(browser: Browser, address: str, folder: Path) -> None:
    """Takes all of them."""
    for name, settings, locale in SCREENS:
        context = browser.new_context(locale=locale, device_scale_factor=1.5, **settings)
        page = context.new_page()
        page.goto(address)
        for state in states(page, locale.startswith("de")):
            page.screenshot(path=folder / f"{name}-{state}.png")
        context.close()


def main() -> None:
    """Starts a server and a browser, and shoots."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    with (
        tempfile.TemporaryDirectory() as home,
        server("--page", CYCLORAMA_HOME=home) as (client, _),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shoot(browser, str(client.base_url), folder)
        browser.close()


if __name__ == "__main__":
    main()
