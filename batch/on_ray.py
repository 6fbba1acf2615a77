"""The rows' workers as actors of Ray Data: on the machines of a cluster instead of in processes here."""

from __future__ import annotations

import json
import logging
import pickle
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
import ray.data

from cyclorama.batch import worker
from cyclorama.batch.located import remove, whole, write
from cyclorama.batch.run import Task, died
from cyclorama.batch.worker import REVIEW, How, thumbnail_name
from cyclorama.engine.errors import BackendUnavailable, CannotWrite

_BLOCKS = 5_000  # at most; a block is what an actor is given, and it is told of when the whole of it is done
_TRIES = 3  # of a row whose actor died: once or twice it may have been the machine
_ATTEMPTS = "attempts"  # within REVIEW: a file for each row that is being made
_CONNECT = 5.0  # seconds


class RayWorkers:
    """Actors that hold one engine each. Photos and pictures lie where all machines find them.

    address: of the cluster, `auto` for the one of this machine.  count: of actors; None: as many as the cluster holds.
    Ray replaces an actor that died and gives its block to another; a row whose actor dies again and again fails.
    Raises BackendUnavailable where there is no cluster.
    """

    def __init__(self, how: How, count: int | None, address: str) -> None:
        model = how.model.absolute() if isinstance(how.model, Path) else how.model
        self._how, self._count = replace(how, folder=whole(how.folder), model=model), count
        self._attempts = self._how.folder / REVIEW / _ATTEMPTS
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            _check_reachable(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())[:200]
            raise BackendUnavailable(
                f"no Ray cluster answers at {address} ({told}); start one with: ray start --head"
            ) from None
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ray.shutdown()

    def records(self, due: Iterable[Task]) -> Iterator[dict[str, Any]]:
        """Of all rows, as they are done."""
        tasks = [pickle.dumps((self._how, (replace(row, photo=whole(row.photo)), of_row))) for row, of_row in due]
        if not tasks:
            return
        remove(self._attempts)  # of a run that was killed
        dataset = ray.data.from_items(tasks, override_num_blocks=min(len(tasks), _BLOCKS)).map_batches(
            _Actor,
            batch_size=1,
            num_cpus=self._how.threads,
            compute=ray.data.ActorPoolStrategy(
                min_size=self._count or 1, max_size=self._count, max_tasks_in_flight_per_actor=2
            ),
        )
        for made in dataset.iter_rows():
            yield json.loads(made["record"])
        remove(self._attempts)

    def rest(self) -> Iterator[dict[str, Any]]:
        """Nothing: what runs on other machines is given up, and made again the next time."""
        yield from ()


class _Actor:
    """A worker on some machine of the cluster."""

    def __init__(self) -> None:
        self._worker: worker.Worker | None = None

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        return {"record": np.array([json.dumps(self._made(*pickle.loads(task))) for task in batch["item"]], object)}

    def _made(self, how: How, task: Task) -> dict[str, Any]:
        """Ray tries again for as long as actors die, and what kills them may be the row: attempts are counted."""
        if self._worker is None:
            worker.prepare(how)
            self._worker = worker.Worker(how)
        row, of_row = task
        attempts = how.folder / REVIEW / _ATTEMPTS / thumbnail_name(row.output)
        with suppress(OSError, CannotWrite):  # where none can be counted no picture can be written: the worker says so
            before = _content(attempts)
            write(attempts, before + b".")
            if len(before) >= _TRIES:
                return died(row, of_row)
        record = self._worker.make(row, of_row)
        with suppress(OSError):
            attempts.unlink(missing_ok=True)
        return record


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _check_reachable(address: str) -> None:
    """Ray would look for a machine that is not there for ever. Raises OSError."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), _CONNECT).close()
