"""The page on the server's own port: Streamlit mounted in the API's application, and the page's own addresses."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore

import streamlit as st
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send
from streamlit import config

from cyclorama.serving.app import wrong_address
from cyclorama.serving.jobs import JobQueue
from cyclorama.serving.service import Service
from cyclorama.space.visits import Visits

_SETTINGS = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "client.showSidebarNavigation": False,
    # Of other origins the guard knows, which sees every request first; nothing is uploaded to Streamlit.
    "server.enableCORS": False,
    "server.enableXsrfProtection": False,
    "server.maxUploadSize": 1,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "runner.magicEnabled": False,
    "theme.light.primaryColor": "#0b6e69",
    "theme.light.linkColor": "#0b5f5b",
    "theme.dark.primaryColor": "#4fc9c0",
    "theme.dark.linkColor": "#7fded7",
}
_SWEEP = 60.0  # seconds between looks for visits whose time is over


@dataclass(frozen=True)
class Parts:
    """What the page stands on.

    masks: how many masks are looked for at once, beside the queue; several would only take as long, and more memory.
    """

    service: Service
    queue: JobQueue
    visits: Visits
    masks: Semaphore


_parts: Parts | None = None


def parts() -> Parts:
    """Of the page that this process serves: Streamlit runs its script without arguments."""
    assert _parts is not None, "the page was not mounted"
    return _parts


def mount(app: FastAPI, service: Service, queue: JobQueue, visits: Visits) -> None:
    """Puts the page at / of the API's application. Once a process, as Streamlit is one."""
    from cyclorama.space.addresses import routes

    global _parts  # noqa: PLW0603
    _parts = Parts(service, queue, visits, Semaphore(1))
    for name, value in _SETTINGS.items():
        config.set_option(name, value)
    page = st.App(Path(__file__).with_name("app.py"))
    of_page, of_api = page.lifespan(), app.router.lifespan_context

    @asynccontextmanager
    async def both(_: FastAPI) -> AsyncIterator[None]:
        async with of_page(app), of_api(app):
            # Streamlit looks through all objects for garbage after each run of its script, many times a second, while
            # everybody waits: what was imported and loaded so far is for good, and is left out.
            gc.collect()
            gc.freeze()
            sweeping = asyncio.create_task(_sweep(visits))
            try:
                yield
            finally:
                sweeping.cancel()
                with suppress(asyncio.CancelledError):
                    await sweeping

    app.router.lifespan_context = both
    app.router.routes.extend(routes(_parts))

    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        answer = wrong_address(app, scope) if scope["type"] == "http" else None
        await (answer or page)(scope, receive, send)

    app.mount("/", rest)


async def _sweep(visits: Visits) -> None:
    while True:
        await asyncio.sleep(_SWEEP)
        await run_in_threadpool(visits.sweep)
