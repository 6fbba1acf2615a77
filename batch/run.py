"""A run: rows to workers, records to the journal; killed at any moment it goes on where it was."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclorama.batch import worker
from cyclorama.batch.journal import Journal, key
from cyclorama.batch.manifest import Row
from cyclorama.batch.worker import How
from cyclorama.engine.diffusion.model_folder import ModelFolder
from cyclorama.engine.machine import available_cores, available_memory
from cyclorama.engine.provenance import signer
from cyclorama.models.store import resolve

if TYPE_CHECKING:
    from cyclorama.batch.on_ray import RayWorkers

_AHEAD = 2  # rows that each worker has waiting
_OF_MASKS = 1_000_000_000  # bytes that a worker takes which only cuts out
_OF_MATTING = 2_100_000_000  # more, where edges are refined: measured with the small ViTMatte
_TRIES = 2  # of a row whose worker died, alone
_NOT_OF_PICTURES = ("folder", "threads")
Task = tuple[Row, str]
"""A row and the key of it."""


@dataclass
class Summary:
    """What came of a run: pictures done now, there already, failed now, failed before and not tried again."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    failed_before: int = 0
    is_interrupted: bool = False
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def has_failures(self) -> bool:
        """Whether any picture is missing for a reason of its own."""
        return bool(self.failed or self.failed_before)


def run(
    rows: Iterable[Row],
    how: How,
    workers: int | None,
    *,
    ray: str | None = None,
    retry_failed: bool = False,
    verify: bool = False,
    tell: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Makes the pictures of all rows that are not made yet.

    workers: processes, or actors.  ray: the address of a cluster, on whose machines they are.  tell: called after each
    picture. Ctrl-C (KeyboardInterrupt) lets what runs here be finished.
    Raises InvalidOptions where another run has the folder or pictures cannot be signed, CannotWrite, and
    BackendUnavailable without a cluster.
    """
    signer()
    summary = Summary()
    with _pool(how, workers, ray) as pool, Journal(how.folder) as journal:
        due = _due(rows, journal, how, summary, retry_failed, verify)
        try:
            for record in pool.records(due):
                _count(record, journal, summary)
                tell(summary)
        except KeyboardInterrupt:
            summary.is_interrupted = True
            for record in pool.rest():
                _count(record, journal, summary)
    return summary


def _pool(how: How, workers: int | None, address: str | None) -> _Workers | RayWorkers:
    if address is None:
        return _Workers(how, workers or 1)
    from cyclorama.batch.on_ray import RayWorkers

    return RayWorkers(how, workers, address)


def _count(record: dict[str, Any], journal: Journal, summary: Summary) -> None:
    journal.add(record)
    if record["state"] == "done":
        summary.done += 1
    else:
        summary.failed += 1
        code = record["error"]["code"]
        summary.errors[code] = summary.errors.get(code, 0) + 1


def _due(
    rows: Iterable[Row], journal: Journal, how: How, summary: Summary, retry_failed: bool, verify: bool
) -> Iterator[Task]:
    common = {name: str(value) for name, value in asdict(how).items() if name not in _NOT_OF_PICTURES}
    for row in rows:
        try:
            of_row = key(row, common)
        except OSError:  # the worker says why
            of_row = ""
        state = journal.state(row, of_row, verify=verify)
        if state == "due" or (state == "failed" and retry_failed):
            yield row, of_row
        elif state == "done":
            summary.skipped += 1
        else:
            summary.failed_before += 1


class _Workers:
    """Processes that make pictures. One that dies costs the row that it had a second try, and no other row."""

    def __init__(self, how: How, count: int) -> None:
        self._how, self._count = how, count
        self._pool = self._started(count)
        self._running: dict[Future[dict[str, Any]], Task] = {}
        self._lost: list[Task] = []

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def records(self, due: Iterator[Task]) -> Iterator[dict[str, Any]]:
        """Of all rows, as they are done."""
        while True:
            self._fill(due)
            if not self._running and not self._lost:
                return
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                task = self._running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    self._lost.append(task)
            if self._lost and not self._running:
                self._pool.shutdown(wait=False)
                self._pool = self._started(self._count)
                while self._lost:
                    yield self._alone(*self._lost.pop())

    def rest(self) -> Iterator[dict[str, Any]]:
        """Of what runs already; what waits is given up."""
        running = {future for future in self._running if not future.cancel()}
        for future in wait(running).done:
            try:
                yield future.result()
            except BrokenProcessPool:
                continue

    def _started(self, count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), initializer=worker.start, initargs=(self._how,)
        )

    def _fill(self, due: Iterator[Task]) -> None:
        while not self._lost and len(self._running) < self._count * (1 + _AHEAD):
            task = next(due, None)
            if task is None:
                return
            try:
                with _without_interrupts():
                    self._running[self._pool.submit(worker.work, *task)] = task
            except BrokenProcessPool:  # a worker has died since the last one was handed over
                self._lost.append(task)

    def _alone(self, row: Row, of_row: str) -> dict[str, Any]:
        """One of those that a dead worker may have had, in a process of its own: which of them it was is seen then."""
        for _ in range(_TRIES):
            with self._started(1) as pool:
                try:
                    with _without_interrupts():
                        future = pool.submit(worker.work, row, of_row)
                    return future.result()
                except BrokenProcessPool:
                    continue
        return died(row, of_row)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that are begun in the block do not hear Ctrl-C before they have said that they will not.

    A terminal sends it to all of a group; one that is still importing would end, and with it the whole pool, so that
    photos that other workers have in hand would not be finished.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # when it begins it lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def died(row: Row, of_row: str) -> dict[str, Any]:
    """The record of a row whose worker ended each time that it was tried."""
    told = "the process that made it ended each time it was tried, perhaps for want of memory; try it alone, or smaller"
    return {
        "output": row.output, "photo": str(row.photo), "key": of_row, "state": "failed", "seconds": 0.0,
        "error": {"code": "worker_died", "message": told},
    }  # fmt: skip


def workers_for(model: str | Path | None, backend: str, is_refined: bool = False) -> int:
    """As many as there are cores and as memory holds engines of; None: there is no painting, only masks.

    is_refined: a matting network refines their edges.
    Two of one thread make more pictures than one of two (docs/scale.md), for threads wait for each other.
    """
    needed = _OF_MASKS
    if model is not None:
        folder = ModelFolder(resolve(model))
        needed = folder.memory_needed("onnx" if backend == "onnx" or not folder.has_ir else "openvino")
    needed += _OF_MATTING if is_refined else 0
    return max(1, min(available_cores(), available_memory() // needed))


def threads_for(workers: int) -> int:
    """Threads of each of so many workers."""
    return max(1, available_cores() // workers)
