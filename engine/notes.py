"""Notes: things a person should hear about that are no errors.

The library never prints. Each note goes to the logger `cyclorama` (Python's default shows them on stderr, the command
line shows them as `note: ...`), and to whoever asked for it: notes made while a photo is prepared and a picture is
painted belong to that picture, whatever other threads are doing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_logger = logging.getLogger("cyclorama")
_listening: ContextVar[tuple[list[str], ...]] = ContextVar("listening", default=())
_is_heard: ContextVar[bool] = ContextVar("is_heard", default=True)


def note(text: str) -> None:
    """Says one line to whoever listens. Bytes of a name that are no text are shown as escapes."""
    if not _is_heard.get():
        return
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    for notes in _listening.get():
        notes.append(text)
    _logger.warning(text)


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """A list of all that is said in this thread within the block."""
    notes: list[str] = []
    token = _listening.set((*_listening.get(), notes))
    try:
        yield notes
    finally:
        _listening.reset(token)


@contextmanager
def unheard() -> Iterator[None]:
    """What is noted in this thread within the block is said to nobody: it is about an attempt, not the result."""
    token = _is_heard.set(False)
    try:
        yield
    finally:
        _is_heard.reset(token)
