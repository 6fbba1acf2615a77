"""A server of our own, on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from cyclorama import BackgroundGenerator
from cyclorama.serving.app import Settings, make_app
from cyclorama.serving.guard import Tokens
from cyclorama.serving.jobs import JobQueue
from cyclorama.serving.requests import LIMITS
from cyclorama.serving.service import Service


@dataclass(frozen=True)
class Running:
    """A server, and what it stands on."""

    address: str
    port: int
    queue: JobQueue
    service: Service

    def post(self, path: str = "/v1/images/edits", **more: object) -> httpx.Response:
        return httpx.post(f"{self.address}{path}", timeout=60, **more)  # type: ignore[arg-type]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.address}{path}", timeout=60)


@contextmanager
def running(
    service: Service,
    queue: JobQueue,
    tokens: Tokens | None = None,
    settings: Settings | None = None,
    extend: Callable[[FastAPI], None] = lambda app: None,
) -> Iterator[Running]:
    app = make_app(service, queue, tokens, settings)
    extend(app)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Running(f"http://127.0.0.1:{port}", port, queue, service)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def generator() -> Iterator[BackgroundGenerator]:
    with BackgroundGenerator.load("nano", limits=LIMITS) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def service(generator: BackgroundGenerator) -> Service:
    return Service({"nano": generator})


@pytest.fixture(scope="session")
def server(service: Service) -> Iterator[Running]:
    with running(service, JobQueue(capacity=16)) as started:
        yield started
