"""Stopping what was asked for before its next network run, where it is not handed the event that says so.

Like notes it goes by thread: what a server's worker does for one request belongs to that request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event

from cyclorama.engine.errors import Cancelled

_event: ContextVar[Event | None] = ContextVar("cancelled", default=None)


@contextmanager
def cancelled_by(event: Event) -> Iterator[None]:
    """Within the block, and in this thread, looks for a subject and for growth stop once the event is set."""
    token = _event.set(event)
    try:
        yield
    finally:
        _event.reset(token)


def stop_if_cancelled() -> None:
    """Raises Cancelled if the event of the block that this runs in is set."""
    event = _event.get()
    if event is not None and event.is_set():
        raise Cancelled("the work was cancelled")
