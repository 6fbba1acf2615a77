"""What a visitor of the page does, with mouse, keyboard and fingers only."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, TimeoutError, expect


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
