"""The root of every error that Cyclorama raises on purpose, and the errors about models.

`engine.errors` draws the whole tree; this half lives here because `models` stands below `engine`.
"""


class CycloramaError(Exception):
    """Base of all errors meant for the user: one line that says what was wrong and what to do."""


class ModelNotFound(CycloramaError):
    """The named model is in no catalogue and no folder, or has not been fetched yet."""


class BadModel(CycloramaError):
    """A model folder is incomplete, damaged, or of a kind that cannot be run."""


class NoHome(CycloramaError):
    """There is no folder of this person's to keep models and what was compiled in, or it may not be written."""


class DownloadFailed(CycloramaError):
    """A file could not be fetched, from the model hub or a package archive."""


def first_line(error: BaseException) -> str:
    """The first line of another library's exception that says anything, else the exception's name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
