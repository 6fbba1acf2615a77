"""The atomic write: a file is there whole, or as it was before."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_atomically(
    path: Path, data: bytes, mode: int = 0o666, finish: Callable[[Path], None] = lambda path: None
) -> None:
    """Writes a file beside `path` and renames it. Raises OSError, and leaves nothing behind then.

    mode: of the new file, less what the umask takes.  finish: told the file before it is renamed.
    """
    temporary = path.parent / f".cyclorama-{secrets.token_hex(8)}.part"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        finish(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
