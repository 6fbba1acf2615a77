"""Jobs and their queue: fair shares, places in line, estimates, deadlines and cancelling."""

from __future__ import annotations

import logging
import math
import statistics
import threading
import time
import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from cyclorama.engine.errors import Cancelled, CycloramaError

State = Literal["queued", "running", "done", "failed", "cancelled"]
Work = Callable[["Job"], Any]
_logger = logging.getLogger("cyclorama.serving")

MOST_RETRY_AFTER = 120
"""Seconds: clients of OpenAI's honour no longer `Retry-After`."""
_GUESS = 10.0  # seconds a job takes, before any has run
_LAST = 5.0  # seconds that a network run may still take after it was told to stop
_REMEMBERED = 20  # finished jobs whose median is the estimate
_EARLY, _LATE = 1.0, 30.0  # seconds before and after the time told, in which a held place can be taken


class QueueFull(CycloramaError):
    """No room for another job. retry_after: seconds until there will be."""

    code = "queue_full"

    def __init__(self, retry_after: int, is_held: bool) -> None:
        promise = "a place is held for the same request then" if is_held else "no place could be held"
        super().__init__(f"the queue is full; try again in {retry_after} s: {promise}")
        self.retry_after = retry_after


class Draining(CycloramaError):
    """The server is shutting down."""

    code = "draining"

    def __init__(self) -> None:
        super().__init__("the server is shutting down; try again in a moment")


class DeadlineExceeded(CycloramaError):
    """The work would not be, or was not, done in time."""

    code = "deadline_exceeded"


@dataclass(eq=False)
class Job:
    """One piece of work and where it is. Read from any thread; written by the queue and the worker that runs it.

    owner: whose share of the queue it counts to.  cancelled: set, the work stops before its next network run.
    progress: 0 to 1.  partials: previews so far, as files.  result, error: one of them once it is over.  is_kept:
    found by its id after it has ended, for a while.  asked_by: the request's id, for the log.
    """

    owner: str
    work: Work
    deadline: float | None
    is_kept: bool = False
    asked_by: str = ""
    id: str = field(default_factory=lambda: f"job_{uuid.uuid4().hex}")
    created: float = field(default_factory=time.time)
    state: State = "queued"
    cancelled: threading.Event = field(default_factory=threading.Event)
    progress: float = 0.0
    partials: list[bytes] = field(default_factory=list)
    result: Any = None
    error: BaseException | None = None
    started: float | None = None  # by time.monotonic, as is the next
    finished: float | None = None
    _why: BaseException | None = None
    _listeners: list[Callable[[], None]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "failed", "cancelled")

    def wait(self, seconds: float) -> bool:
        """Returns once it is over, or after so many seconds. Whether it is over."""
        return self._over.wait(seconds)

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls the listener, from whatever thread, after each change."""
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[], None]) -> None:
        """No longer."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def changed(self) -> None:
        """Tells those who listen."""
        for listener in tuple(self._listeners):
            listener()
        if self.is_over:
            self._listeners.clear()

    def stop(self, why: BaseException) -> None:
        """Stops the work before its next network run; the first reason counts."""
        if self._why is None:
            self._why = why
        self.cancelled.set()


class _Place(NamedTuple):
    """Held for a request, from a time on."""

    owner: str
    key: str
    start: float


class JobQueue:
    """A bounded queue, and workers that take from it: each owner's oldest job in turn. May be shared between threads.

    workers: jobs that run at once.  capacity: jobs that wait.  owners: how many share it: each may have as large a part
    of it waiting, and as many places held.  keep_seconds, keep_jobs, keep_bytes: how long, how many of each owner's,
    and how many bytes of all results, ended jobs are found by their id.
    """

    def __init__(
        self,
        capacity: int = 16,
        workers: int = 1,
        owners: int = 1,
        keep_seconds: float = 900,
        keep_jobs: int = 64,
        keep_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self.capacity = capacity
        self.workers = workers
        self.share = max(1, capacity // max(1, owners))
        self.started = self.stopped = 0
        self._keep_seconds, self._keep_jobs, self._keep_bytes = keep_seconds, keep_jobs, keep_bytes
        self._lock = threading.Condition()
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()  # the owner whose turn it is first; none empty
        self._running: list[Job] = []
        self._kept: OrderedDict[str, Job] = OrderedDict()
        self._held: list[_Place] = []
        self._durations: deque[float] = deque(maxlen=_REMEMBERED)
        self._is_draining = False
        self._threads = [threading.Thread(target=self._work, name=f"worker-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    @property
    def is_draining(self) -> bool:
        """Whether no more is taken."""
        return self._is_draining

    @property
    def waiting(self) -> int:
        """Jobs in line."""
        with self._lock:
            return self._count()

    @property
    def running(self) -> int:
        """Jobs that a worker has."""
        return len(self._running)

    def submit(
        self,
        work: Work,
        owner: str,
        key: str,
        deadline: float | None = None,
        *,
        is_kept: bool = False,
        asked_by: str = "",
        share: int | None = None,
    ) -> Job:
        """Puts work in line.

        key: of what is asked for; the same request finds the place that was held for it.  deadline: seconds from now in
        which it must be done.  share: jobs that an owner may have waiting who is none of `owners`; to all such together
        the queue is full when it holds `capacity`.
        Raises QueueFull, Draining, DeadlineExceeded.
        """
        job = Job(owner, work, deadline, is_kept, asked_by)
        with self._lock:
            if self._is_draining:
                raise Draining
            now = time.monotonic()
            self._held = [place for place in self._held if now <= place.start + _LATE]
            due = [one for one in self._held if (one.owner, one.key) == (owner, key) and now >= one.start - _EARLY]
            waiting = len(self._waiting.get(owner, ()))
            held = sum(place.owner == owner for place in self._held)
            # A place that is taken when it was promised is beyond the share: what came meanwhile has filled that.
            most = self.share if share is None else share
            is_full = waiting + held >= most or (share is not None and self._count() >= self.capacity)
            if is_full and not (due and waiting < 2 * most):
                raise self._full(owner, key, held, now, most)
            before = self._wait_behind(owner, waiting)
            if deadline is not None and self._durations and before > deadline:
                raise DeadlineExceeded(
                    f"its turn would come in about {before:.0f} s, and the limit is {deadline:g} s; post it to /v1/jobs"
                )
            if due:
                self._held.remove(due[0])
            self._waiting.setdefault(owner, deque()).append(job)
            if is_kept:
                self._kept[job.id] = job
                self._forget()
            self._lock.notify()
        if deadline is not None:
            timer = threading.Timer(deadline, self._expire, (job,))
            timer.daemon = True
            timer.start()
            job.listen(lambda: timer.cancel() if job.is_over else None)
            if job.is_over:  # before anybody listened
                timer.cancel()
        return job

    def _full(self, owner: str, key: str, held: int, now: float, most: int) -> QueueFull:
        # The same request twice may be two clients, so each is held a place.
        seconds = math.ceil(min(MOST_RETRY_AFTER, max(1.0, (held + 1) * self._median() / self.workers)))
        is_held = held < most
        if is_held:
            self._held.append(_Place(owner, key, now + seconds))
        return QueueFull(seconds, is_held)

    def find(self, job_id: str, owner: str) -> Job | None:
        """A kept job of this owner's."""
        with self._lock:
            self._forget()
            job = self._kept.get(job_id)
            return job if job is not None and job.owner == owner else None

    def place(self, job: Job) -> int | None:
        """How many jobs are before it in line; None once it has its turn."""
        with self._lock:
            return self._place(job)

    def time_left(self, job: Job) -> float | None:
        """Seconds until it is done, about, by the median of the last jobs; None once it is over."""
        with self._lock:
            if job.is_over:
                return None
            if job.state == "queued":
                return self._wait(job) + self._median()
            return self._rest(job)

    def cancel(self, job: Job, why: BaseException | None = None) -> None:
        """Takes a job out of the line, or stops it before its next network run."""
        reason = why or Cancelled("the job was cancelled")
        with self._lock:
            if job.state == "queued":
                queue = self._waiting[job.owner]
                queue.remove(job)
                if not queue:
                    del self._waiting[job.owner]
                self._end(job, error=reason)
            elif job.state == "running":
                job.stop(reason)
        job.changed()

    def close(self, grace: float = 30.0) -> None:
        """Takes no more, refuses what waits, and lets what runs finish within `grace` seconds, then stops it."""
        with self._lock:
            is_first, self._is_draining = not self._is_draining, True
            refused = [job for queue in self._waiting.values() for job in queue]
            self._waiting.clear()
            for job in refused:
                self._end(job, error=Draining())
            self._lock.notify_all()
        for job in refused:
            job.changed()
        until = time.monotonic() + (grace if is_first else 0)
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for job in tuple(self._running):
            job.stop(Draining())
        for thread in self._threads:
            thread.join(_LAST)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._is_draining:
                    self._lock.wait()
                if not self._waiting:
                    return
                owner, queue = next(iter(self._waiting.items()))
                job = queue.popleft()
                del self._waiting[owner]
                if queue:
                    self._waiting[owner] = queue  # at the end: the others' turn comes first
                job.state, job.started = "running", time.monotonic()
                self._running.append(job)
                self.started += 1
            job.changed()
            result = error = None
            try:
                result = job.work(job)
            except CycloramaError as raised:
                error = job._why or raised if isinstance(raised, Cancelled) else raised
            except Exception as raised:
                _logger.exception("%s of %s failed", job.id, job.asked_by)
                error = raised
            with self._lock:
                self._running.remove(job)
                self.stopped += 1
                self._end(job, result, error)
            job.changed()

    def _end(self, job: Job, result: Any = None, error: BaseException | None = None) -> None:
        job.finished = time.monotonic()
        job.result, job.error = result, error
        _forget_frames(error)
        job.state = "done" if error is None else "cancelled" if isinstance(error, Cancelled) else "failed"
        job.work = _nothing  # and the photo that it holds
        if error is None and job.started is not None:
            self._durations.append(job.finished - job.started)
            job.progress = 1.0
        job._over.set()
        self._forget()

    def _expire(self, job: Job) -> None:
        if not job.is_over:
            self.cancel(job, DeadlineExceeded(f"not done within {job.deadline:g} s; post it to /v1/jobs"))

    def _count(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    def _median(self) -> float:
        return statistics.median(self._durations) if self._durations else _GUESS

    def _place(self, job: Job) -> int | None:
        if job.state != "queued":
            return None
        own = self._waiting[job.owner].index(job)
        owners = list(self._waiting)
        turn = owners.index(job.owner)
        # Each round takes one of every owner that has one left; before it come `own` rounds, and part of another.
        return own + sum(
            min(len(self._waiting[owner]), own + (1 if number < turn else 0))
            for number, owner in enumerate(owners)
            if number != turn
        )

    def _rest(self, job: Job) -> float:
        assert job.started is not None
        return max(0.0, self._median() - (time.monotonic() - job.started))

    def _wait(self, job: Job) -> float:
        return self._first_rest() + (self._place(job) or 0) * self._median() / self.workers

    def _wait_behind(self, owner: str, waiting: int) -> float:
        """Seconds until the turn of one more job of this owner's."""
        others = sum(min(len(queue), waiting + 1) for name, queue in self._waiting.items() if name != owner)
        if self.running < self.workers and not self._count():
            return 0.0
        return self._first_rest() + (waiting + others) * self._median() / self.workers

    def _first_rest(self) -> float:
        return min((self._rest(one) for one in self._running), default=0.0) if self.running >= self.workers else 0.0

    def _forget(self) -> None:
        now = time.monotonic()
        ended = [job for job in self._kept.values() if job.is_over]
        nbytes = sum(_nbytes(job.result) for job in ended)
        kept = Counter(job.owner for job in self._kept.values())
        for job in ended:  # the oldest first
            is_old = job.finished is not None and now - job.finished > self._keep_seconds
            if is_old or kept[job.owner] > self._keep_jobs or nbytes > self._keep_bytes:
                del self._kept[job.id]
                kept[job.owner] -= 1
                nbytes -= _nbytes(job.result)


def _nbytes(result: Any) -> int:
    return int(getattr(result, "nbytes", 0))


def _forget_frames(error: BaseException | None) -> None:
    """The frames of a traceback hold photos, and an error may be kept for long."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _nothing(_: Job) -> None:
    return None
