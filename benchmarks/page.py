"""What the page costs over the same work in Python, in a real browser: `cyclorama benchmark --page`."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser, FilePayload, Page, Position, expect, sync_playwright

from cyclorama import BackgroundGenerator, InvalidOptions, cut_out, load_photo
from cyclorama.benchmarks.serving import Progress, new_photos, server
from cyclorama.engine.machine import available_cores, cpu_features, cpu_name

_ROUNDS = 5
_SIZE = (1200, 800)
_PROMPT = "a sandy beach at sunset"
_LOOKERS = 10
_VISITS, _FIRST = 100, 10  # in a row; after which memory is looked at first
_EXPIRES = 125  # seconds after which Streamlit forgets a session that is gone


def measure_page(progress: Progress) -> dict[str, Any]:
    """Seconds to a usable page, and over Python to the mask, from a stroke and to the picture; many visitors; memory.

    nano, photos of a megapixel, each another one. Python's side is measured in this process, turn and turn about.
    """
    photos = new_photos()
    with (
        tempfile.TemporaryDirectory() as home,
        server("--page", CYCLORAMA_HOME=home) as (client, process),
        BackgroundGenerator.load("nano") as generator,
        _browser() as browser,
    ):
        address = str(client.base_url)
        first: list[float] = []
        sides: dict[str, list[tuple[float, float]]] = {"mask": [], "stroke": [], "picture": []}
        for number in range(_ROUNDS + 1):  # the first warms up
            progress(f"by one visitor: {number} of {_ROUNDS}")
            data = photos(_SIZE)
            with _visitor(browser) as page:
                first.append(_timed(lambda page=page: _arrive(page, address)))  # type: ignore[misc]
                seen = [_timed(lambda page=page, data=data: _bring(page, data))]  # type: ignore[misc]
                expect(page.get_by_role("button", name="Paint")).to_be_enabled()
                seen += [
                    _timed(lambda page=page: _dab(page)),  # type: ignore[misc]
                    _timed(lambda page=page: _paint(page)),  # type: ignore[misc]
                ]
            for name, by_page, in_python in zip(sides, seen, _in_python(generator, data), strict=True):
                sides[name].append((by_page, in_python))
        progress(f"{_LOOKERS} looking and one painting")
        answers = _many(browser, address, photos)
        memory = _memory(browser, address, process, photos, progress)
    added = {}
    for name, pairs in sides.items():
        page_seconds, python_seconds = np.array(pairs[1:]).T
        difference = page_seconds - python_seconds
        added[name] = {
            "page": float(np.median(page_seconds)), "python": float(np.median(python_seconds)),
            "added": float(np.median(difference)), "spread": [float(difference.min()), float(difference.max())],
        }  # fmt: skip
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{cpu_name()}, {available_cores()} cores with {cpu_features()[-1]}",
        "first_load": statistics.median(first[1:]), "first_load_worst": max(first[1:]), "added": added,
        "lookers": _LOOKERS, "answer": statistics.median(answers), "answer_worst": max(answers),
        "visits": _VISITS, "memory": memory, "growth": memory[-1] / memory[0] - 1,
    }  # fmt: skip


def page_tables(figures: dict[str, Any]) -> str:
    """For people."""
    lines = ["| | on the page | in Python | added, median (range) |", "|---|---|---|---|"]
    names = {"mask": "photo to mask", "stroke": "stroke to mask", "picture": "prompt to picture"}
    for name, one in figures["added"].items():
        low, high = one["spread"]
        lines.append(
            f"| {names[name]} | {one['page']:.2f} s | {one['python']:.2f} s "
            f"| {one['added']:.2f} s ({low:.2f} to {high:.2f}) |"
        )
    first, last = (value / 1e6 for value in figures["memory"])
    return "\n".join([
        *lines, "",
        f"First load to usable: {figures['first_load']:.1f} s, at worst {figures['first_load_worst']:.1f} s. "
        f"{figures['lookers']} looking while one paints: an answer in {figures['answer']:.2f} s, at worst "
        f"{figures['answer_worst']:.2f} s. Memory after {_FIRST} visits {first:.0f} MB, after {figures['visits']} "
        f"{last:.0f} MB ({figures['growth']:+.1%}), sessions expired each time.", "",
        f"*{figures['machine']}, {figures['created'][:10]}, nano, photos of a megapixel, {_ROUNDS} rounds; "
        "`cyclorama benchmark --page`*", "",
    ])  # fmt: skip


@contextmanager
def _browser() -> Iterator[Browser]:
    path = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    if path is None:
        raise InvalidOptions("the page is measured in Chromium: apt-get install chromium, or name one in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _visitor(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1200})
    try:
        yield context.new_page()
    finally:
        context.close()


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _arrive(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("button", name="Choose a photo")).to_be_visible(timeout=30_000)


def _bring(page: Page, data: bytes) -> None:
    file: FilePayload = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": data}
    chooser = page.locator("input.file").first
    _until_drawn(page, "/mask-", lambda: chooser.set_input_files(file))


def _dab(page: Page) -> None:
    canvas = page.locator(".stage canvas")
    box = canvas.bounding_box()
    assert box is not None
    spot: Position = {"x": box["width"] * 0.05, "y": box["height"] * 0.05}
    _until_drawn(page, "/mask-", lambda: canvas.click(position=spot))


def _paint(page: Page) -> None:
    def ask() -> None:
        page.get_by_role("textbox", name="Describe the place").fill(_PROMPT)
        page.get_by_role("button", name="Paint").click()

    _until_drawn(page, ".preview.webp", ask)


def _until_drawn(page: Page, picture: str, act: Callable[[], object]) -> None:
    """Returns once a picture that was not there has come and is drawn; `expect` looks twice a second only."""
    with page.expect_event("requestfinished", lambda request: picture in request.url, timeout=60_000):
        act()
    page.evaluate("() => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")


def _in_python(generator: BackgroundGenerator, data: bytes) -> tuple[float, float, float]:
    """The same work: to the mask, from the stroke, to the encoded picture."""
    start = time.perf_counter()
    photo = load_photo(data)
    cutout = cut_out(photo)
    to_mask = time.perf_counter() - start
    width, height = photo.size
    dab = np.zeros((height, width), np.uint8)
    dab[int(height * 0.03) : int(height * 0.07), int(width * 0.03) : int(width * 0.07)] = 255
    start = time.perf_counter()
    cutout = cutout.revised(keep=dab)
    from_stroke = time.perf_counter() - start
    start = time.perf_counter()
    generator.generate(generator.prepare(cutout), _PROMPT, seed=1).encode("png")
    return to_mask, from_stroke, time.perf_counter() - start


def _many(browser: Browser, address: str, photos: Callable[[tuple[int, int]], bytes]) -> list[float]:
    """Seconds until a page shows what was clicked on, of many visitors while another one's pictures are painted."""
    contexts = [browser.new_context(viewport={"width": 1280, "height": 1200}) for _ in range(_LOOKERS + 1)]
    try:
        pages = [context.new_page() for context in contexts]
        for page in pages:
            _arrive(page, address)
            _bring(page, photos(_SIZE))
        painter, lookers = pages[0], pages[1:]
        painter.get_by_role("radio", name="4").click()
        painter.wait_for_timeout(500)
        painter.get_by_role("textbox", name="Describe the place").fill(_PROMPT)
        painter.get_by_role("button", name="Paint").click()
        expect(painter.get_by_role("button", name="Cancel")).to_be_visible(timeout=30_000)
        seconds = []
        for page in lookers:

            def answer(page: Page = page) -> None:
                page.get_by_role("radio", name="A colour").click()
                expect(page.get_by_role("button", name="Make the picture")).to_be_visible()

            seconds.append(_timed(answer))
        return seconds
    finally:
        for context in contexts:
            context.close()


def _memory(
    browser: Browser,
    address: str,
    process: psutil.Process,
    photos: Callable[[tuple[int, int]], bytes],
    progress: Progress,
) -> list[int]:
    """Bytes of the server after the first visits and after all, each time once their sessions have expired."""
    found = []
    for number in range(1, _VISITS + 1):
        with _visitor(browser) as page:
            _arrive(page, address)
            _bring(page, photos(_SIZE))
        if number in (_FIRST, _VISITS):
            progress(f"visits in a row: {number} of {_VISITS}")
            time.sleep(_EXPIRES)
            found.append(process.memory_info().rss)
    return found
