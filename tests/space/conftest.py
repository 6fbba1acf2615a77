"""A server with the page, on loopback, and a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from cyclorama import BackgroundGenerator
from cyclorama.serving.jobs import Job, JobQueue
from cyclorama.serving.requests import LIMITS
from cyclorama.serving.service import Service
from cyclorama.space.mounting import mount
from cyclorama.space.visits import Visits
from tests.conftest import PHOTOS
from tests.serving.conftest import Running, running


class PageServer:
    """A server with the page. visits: those it keeps."""

    def __init__(self, server: Running, visits: Visits) -> None:
        self.server, self.visits = server, visits
        self.address = server.address
        self.queue, self.service = server.queue, server.service

    def occupied(self, owner: str = "somebody") -> threading.Event:
        """A job that keeps the worker busy until the event is set."""
        gate = threading.Event()

        def work(job: Job) -> None:
            while not gate.wait(0.01) and not job.cancelled.is_set():
                pass

        job = self.queue.submit(work, owner, "k")
        while job.state != "running":
            time.sleep(0.01)
        return gate


@pytest.fixture(scope="session")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """Streamlit is one a process, and so is this."""
    visits = Visits(tmp_path_factory.mktemp("visits"))
    with BackgroundGenerator.load("nano", limits=LIMITS) as generator:
        service, queue = Service({"nano": generator}), JobQueue(capacity=3)
        with running(service, queue, extend=lambda app: mount(app, service, queue, visits)) as server:
            yield PageServer(server, visits)


expect.set_options(timeout=20_000)


@pytest.fixture
def visitor(browser: Browser, page_server: PageServer) -> Iterator[Callable[..., Page]]:
    """Makes visitors, each with a browser of their own; an error in a page fails the test, and a request elsewhere."""
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def is_outside(url: str) -> bool:
        return not url.startswith((page_server.address, "data:", "blob:"))

    def arrive(**settings: object) -> Page:
        settings.setdefault("viewport", {"width": 1440, "height": 1300})
        context = browser.new_context(locale=str(settings.pop("locale", "en-GB")), **settings)  # type: ignore[arg-type]
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if is_outside(request.url) else None)
        page.goto(page_server.address)
        return page

    yield arrive
    for context in contexts:
        context.close()
    assert not said


@pytest.fixture(scope="session")
def small_cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of which each pixel is larger than one on the screen, as a PNG."""
    path = tmp_path_factory.mktemp("photo") / "cat.png"
    Image.open(PHOTOS / "cat.jpg").resize((300, 200)).save(path)
    return path


def opened(data: bytes) -> Image.Image:
    """A picture from a file's bytes."""
    image = Image.open(BytesIO(data))
    image.load()
    return image
