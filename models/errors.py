"""The root of every error that Cyclorama raises on purpose, and the errors about models.

`engine.errors` draws the whole tree; this half lives here because `models` stands below `engine`.
"""

from __future__ import annotations

from typing import ClassVar


class CycloramaError(Exception):
    """Base of all errors meant for the user: one line that says what was wrong and what to do.

    code: the kind of error, for programs.  option: the name of the option that was wrong, where it was one.
    hint: what to do, where that is known; the line ends with it. It names options by backticks, for faces that call
    them otherwise.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, option: str | None = None, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}; {hint}")
        self.option = option
        self.hint = hint


class ModelNotFound(CycloramaError):
    """The named model is in no catalogue and no folder, or has not been fetched yet."""

    code = "model_not_found"


class BadModel(CycloramaError):
    """A model folder is incomplete, damaged, or of a kind that cannot be run."""

    code = "bad_model"


class NoHome(CycloramaError):
    """There is no folder of this person's to keep models and what was compiled in, or it may not be written."""

    code = "no_home"


class DownloadFailed(CycloramaError):
    """A file could not be fetched, from the model hub or a package archive."""

    code = "download_failed"


def first_line(error: BaseException) -> str:
    """The first line of another library's exception that says anything, else the exception's name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
