"""The root of every error that Cyclorama raises on purpose, and the errors about models.

`engine.errors` draws the whole tree; this half lives here because `models` stands below `engine`.
"""


class CycloramaError(Exception):
    """Base of all errors meant for the user: one line that says what was wrong and what to do."""


class ModelNotFound(CycloramaError):
    """The named model is in no catalogue and no folder, or has not been fetched yet."""


class BadModel(CycloramaError):
    """A model folder is incomplete, damaged, or of a kind that cannot be run."""


class DownloadFailed(CycloramaError):
    """A file could not be fetched, from the model hub or a package archive."""
