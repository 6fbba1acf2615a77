"""What a terminal shows: errors, notes, progress, data."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar, ParamSpec, TypeVar

import click

from cyclorama.engine.errors import CycloramaError, InvalidOptions

P = ParamSpec("P")
T = TypeVar("T")

_EXTRA_OF = (
    dict.fromkeys(("torch", "diffusers", "transformers", "optimum", "onnx", "safetensors", "nncf", "scipy"), "export")
    | dict.fromkeys(("matplotlib", "playwright"), "benchmark")
    | dict.fromkeys(("fastapi", "uvicorn", "prometheus_client", "starlette"), "serve")
    | {"streamlit": "page", "ray": "ray"}
)


def clear_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Errors meant for the user become one line and exit code 1; wrong options exit with 2."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        _show_notes()
        if not sys.warnoptions:
            warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata, which costs nothing
        if not sys.stderr.isatty():
            os.environ.setdefault("TQDM_DISABLE", "1")  # for the bars of libraries, which ask no one
        try:
            return command(*args, **kwargs)
        except InvalidOptions as error:
            raise click.UsageError(_in_own_words(error)) from error
        except CycloramaError as error:
            raise click.ClickException(_in_own_words(error)) from error
        except BrokenPipeError:
            raise  # click ends quietly when the reader of stdout is gone
        except (OSError, MemoryError) as error:  # what no module could say better
            raise click.ClickException(f"{type(error).__name__}: {error}") from error
        except ModuleNotFoundError as error:
            package = (error.name or "").split(".")[0]
            if package not in _EXTRA_OF:
                raise
            raise click.ClickException(
                f"this needs {package}, which is not installed; run: pip install 'cyclorama[{_EXTRA_OF[package]}]'"
            ) from error

    return run


def _in_own_words(error: CycloramaError) -> str:
    """The engine's line with the command line's names for options."""
    line = str(error)
    context = click.get_current_context(silent=True)
    for parameter in context.command.params if context else ():
        if not isinstance(parameter, click.Option) or parameter.name is None:
            continue
        line = line.replace(f"`{parameter.name}`", parameter.opts[0])
        if "_" in parameter.name:  # as no word of a sentence is written
            line = re.sub(rf"\b{parameter.name}\b", parameter.opts[0], line)
        elif error.option == parameter.name and line.startswith(f"{parameter.name} must be"):
            line = line.replace(parameter.name, parameter.opts[0], 1)
    return line


def _show_notes() -> None:
    class Notes(logging.Handler):
        said: ClassVar[set[str]] = set()

        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if text not in self.said:  # `--count 4` need not hear it four times
                self.said.add(text)
                click.echo(f"note: {text}", err=True)

    logger = logging.getLogger("cyclorama")
    logger.handlers = [Notes(logging.WARNING)]
    logger.propagate = False


@contextmanager
def stages(first: str = "", total: int = 0) -> Iterator[Callable[[str], None]]:
    """On a terminal, the stage being worked on and how long all has taken, on stderr; elsewhere nothing.

    total: how many stages there are, where that is known: then a bar is drawn.
    """
    for library in ("DIFFUSERS", "TRANSFORMERS"):  # their remarks would tear the line
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    done = Event()
    layout = "{desc} |{bar:20}| {n}/{total} [{elapsed}]" if total else "{desc} [{elapsed}]"
    begun = count(0)
    with bar(total=total, bar_format=layout, leave=False) as line:

        def begin(stage: str) -> None:
            line.n = min(next(begun), total)
            line.set_description_str(stage)

        def tick() -> None:
            while not done.wait(1):
                line.refresh()

        if first:
            begin(first)
        clock = Thread(target=tick, daemon=True)
        clock.start()
        try:
            yield begin
        finally:
            done.set()
            clock.join()


def bar(**options: Any) -> Any:
    """A tqdm bar on stderr, where that is a terminal; a container's may say that it has no size."""
    from tqdm import tqdm

    columns, lines = shutil.get_terminal_size()
    return tqdm(disable=None, file=sys.stderr, ncols=columns, nrows=lines, **options)


def remark(text: str) -> None:
    """A line on stderr."""
    click.echo(f"note: {text}", err=True)


def print_json(value: Any) -> None:
    """One JSON object on stdout; bytes of a file name that are no text come out as JSON's own escapes."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    click.echo(text.encode("utf-8", "backslashreplace"))


def print_path(path: Path) -> None:
    """A file's name on stdout, which need not be text."""
    click.echo(os.fsencode(path))
