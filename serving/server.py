"""The process: uvicorn, and an orderly end."""

from __future__ import annotations

import logging
import threading
from types import FrameType
from typing import Literal

import uvicorn
from fastapi import FastAPI
from pythonjsonlogger.json import JsonFormatter

from cyclorama.serving.jobs import JobQueue

_MOST_CONNECTIONS = 256
LogFormat = Literal["text", "json"]


class _Server(uvicorn.Server):
    """At a signal the queue refuses what waits at once, so that connections end and uvicorn with them."""

    def __init__(self, config: uvicorn.Config, queue: JobQueue, grace: float) -> None:
        super().__init__(config)
        self._queue, self._grace = queue, grace

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn."""
        threading.Thread(target=self._queue.close, args=(self._grace,), name="drain").start()
        super().handle_exit(sig, frame)


def run(app: FastAPI, queue: JobQueue, host: str, port: int, grace: float, log_format: LogFormat = "text") -> None:
    """Serves until a signal: what runs then is finished within `grace` seconds, and the rest refused.

    Neither prompts nor pictures are logged: of requests id, method, path and status; of what was made the request's id,
    the seconds of each stage and the number of pictures; of the engine errors only.
    """
    _log(log_format)
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=int(grace) + 5,
        limit_concurrency=_MOST_CONNECTIONS, server_header=False,
    )  # fmt: skip
    _Server(config, queue, grace).run()


def _log(log_format: LogFormat) -> None:
    logging.getLogger("cyclorama").setLevel(logging.ERROR)
    shown, plain = logging.StreamHandler(), logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    fields = ["asctime", "levelname", "name", "message"]
    renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
    shown.setFormatter(plain if log_format == "text" else JsonFormatter(fields, rename_fields=renamed))
    for name in ("cyclorama.serving", "uvicorn"):
        served = logging.getLogger(name)
        served.setLevel(logging.INFO)
        served.addHandler(shown)
        served.propagate = False
