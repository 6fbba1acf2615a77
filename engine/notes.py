"""Notes: things a person should hear about that are no errors, said through one logger.

The library never prints; a program shows them by handling the logger `cyclorama`
(Python's default shows them on stderr, the command line shows them as `note: ...`).
"""

import logging

_logger = logging.getLogger("cyclorama")


def note(text: str) -> None:
    """Says one line to whoever listens."""
    _logger.warning(text)
