from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cyclorama import Cancelled, InvalidOptions
from cyclorama.serving import jobs
from cyclorama.serving.jobs import DeadlineExceeded, Draining, Job, JobQueue, QueueFull, Work


class Gate:
    """Work that is done when it is let go, or stops when it is cancelled."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.order: list[str] = []

    def work(self, name: str) -> Work:
        def run(job: Job) -> str:
            self.order.append(name)
            while not self.open.wait(0.005):
                if job.cancelled.is_set():
                    raise Cancelled("stopped")
            return name

        return run


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_job_is_waited_for(gate: Gate) -> None:
    queue = JobQueue(capacity=2)
    running, waiting = queue.submit(gate.work("one"), "a", "k"), queue.submit(gate.work("two"), "a", "l")
    assert not running.wait(0.05)
    queue.cancel(waiting)
    assert waiting.wait(0)
    gate.open.set()
    assert running.wait(5)
    assert running.state == "done"
    queue.close()


def test_owners_take_turns_and_places_say_so(gate: Gate) -> None:
    queue = JobQueue(capacity=8)
    first = queue.submit(gate.work("first"), "a", "k")
    until(lambda: first.state == "running")
    given = {name: queue.submit(gate.work(name), name[0], name) for name in ("a1", "a2", "a3", "b1", "b2", "c1")}
    assert {name: queue.place(job) for name, job in given.items()} == {
        "a1": 0, "b1": 1, "c1": 2, "a2": 3, "b2": 4, "a3": 5,
    }  # fmt: skip
    assert queue.place(first) is None
    gate.open.set()
    until(lambda: all(job.is_over for job in given.values()))
    assert gate.order == ["first", "a1", "b1", "c1", "a2", "b2", "a3"]
    assert [job.result for job in given.values()] == list(given)
    queue.close()


def test_a_full_queue_holds_a_place(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_GUESS", 1.3)
    queue = JobQueue(capacity=2)
    for name in "xyz":
        queue.submit(gate.work(name), "a", name)
        until(lambda: queue.running == 1)
    with pytest.raises(QueueFull, match="a place is held") as full:
        queue.submit(gate.work("held"), "a", "held")
    assert full.value.retry_after == 2
    with pytest.raises(QueueFull, match="a place is held"):  # too early, or another client with the same wish
        queue.submit(gate.work("held"), "a", "held")
    time.sleep(1.1)  # the time told, less a second
    with pytest.raises(QueueFull):
        queue.submit(gate.work("another"), "a", "another")
    assert queue.submit(gate.work("held"), "a", "held").state == "queued"
    time.sleep(1)
    assert queue.submit(gate.work("held"), "a", "held").state == "queued"  # whose place was held as well
    gate.open.set()
    queue.close()


def test_asking_twice_gains_nothing(gate: Gate) -> None:
    queue = JobQueue(capacity=4, owners=2)
    admitted = 0
    for number in range(30):
        for _ in range(2):
            try:
                queue.submit(gate.work("x"), "a", str(number))
                admitted += 1
            except QueueFull:
                pass
    assert admitted <= 3  # one that runs, and its share
    assert queue.submit(gate.work("b"), "b", "b").state == "queued"  # nor does it shut out others
    gate.open.set()
    queue.close()


def test_an_owner_has_its_share(gate: Gate) -> None:
    queue = JobQueue(capacity=4, owners=2)
    running = queue.submit(gate.work("x"), "a", "x")
    until(lambda: running.state == "running")
    for name in "yz":
        queue.submit(gate.work(name), "a", name)
    with pytest.raises(QueueFull):
        queue.submit(gate.work("w"), "a", "w")
    assert queue.submit(gate.work("b"), "b", "b").state == "queued"
    gate.open.set()
    queue.close()


def test_owners_of_no_number_share_the_whole(gate: Gate) -> None:
    queue = JobQueue(capacity=3)
    running = queue.submit(gate.work("x"), "visit 0", "x", share=2)
    until(lambda: running.state == "running")
    for name in "ab":
        queue.submit(gate.work(name), "visit 1", name, share=2)
    with pytest.raises(QueueFull):  # its own share
        queue.submit(gate.work("c"), "visit 1", "c", share=2)
    queue.submit(gate.work("d"), "visit 2", "d", share=2)
    with pytest.raises(QueueFull):  # all there is
        queue.submit(gate.work("e"), "visit 3", "e", share=2)
    gate.open.set()
    queue.close()


def test_cancelling_in_line_and_at_work(gate: Gate) -> None:
    queue = JobQueue()
    running, waiting, last = (queue.submit(gate.work(name), "a", name) for name in "xyz")
    until(lambda: running.state == "running")
    queue.cancel(waiting)
    assert waiting.state == "cancelled"
    assert queue.place(last) == 0
    started = queue.started
    queue.cancel(running, Cancelled("the client went away"))
    until(lambda: running.is_over)
    assert (running.state, str(running.error)) == ("cancelled", "the client went away")
    until(lambda: last.state == "running")
    assert queue.started == started + 1
    assert queue.stopped == 1
    queue.cancel(running)  # over already
    gate.open.set()
    until(lambda: last.state == "done")
    queue.close()


def test_a_deadline_ends_what_waits_and_what_runs(gate: Gate) -> None:
    queue = JobQueue()
    running = queue.submit(gate.work("x"), "a", "x", deadline=0.1)
    waiting = queue.submit(gate.work("y"), "a", "y", deadline=0.05)
    until(lambda: running.is_over and waiting.is_over)
    for job in (running, waiting):
        assert job.state == "failed"
        assert isinstance(job.error, DeadlineExceeded)
    assert gate.order == ["x"]
    gate.open.set()
    slow = queue.submit(lambda _: time.sleep(0.2), "a", "z")
    until(lambda: slow.is_over)
    gate.open.clear()
    first = queue.submit(gate.work("v"), "a", "v", deadline=5)  # nothing is before it, however slow the last was
    until(lambda: first.state == "running")
    with pytest.raises(DeadlineExceeded, match="post it to /v1/jobs"):
        queue.submit(gate.work("w"), "a", "w", deadline=0.01)
    assert queue.waiting == 0
    gate.open.set()
    after = queue.submit(lambda _: 5, "b", "u")
    until(lambda: after.result == 5)
    queue.close()


def test_a_fault_costs_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    queue = JobQueue()
    broken = queue.submit(lambda _: 1 / 0, "a", "x")
    refused = queue.submit(lambda _: _raise(InvalidOptions("no")), "a", "y")
    fine = queue.submit(lambda _: 3, "a", "z")
    until(lambda: fine.is_over)
    assert isinstance(broken.error, ZeroDivisionError)
    assert isinstance(refused.error, InvalidOptions)
    assert fine.result == 3
    assert caplog.text.count("Traceback") == 1
    assert broken.id in caplog.text
    assert broken.error.__traceback__ is None  # its frames would hold the photo
    queue.close()


def _raise(error: Exception) -> None:
    raise error


def test_an_end_finishes_what_runs_and_refuses_the_rest(gate: Gate) -> None:
    queue = JobQueue()
    running, waiting = (queue.submit(gate.work(name), "a", name) for name in "xy")
    until(lambda: running.state == "running")
    closing = threading.Thread(target=queue.close, args=(5,))
    closing.start()
    until(lambda: waiting.is_over)
    assert isinstance(waiting.error, Draining)
    with pytest.raises(Draining):
        queue.submit(gate.work("z"), "a", "z")
    gate.open.set()
    closing.join()
    assert running.result == "x"


def test_an_end_stops_what_takes_too_long(gate: Gate) -> None:
    queue = JobQueue()
    running = queue.submit(gate.work("x"), "a", "x")
    until(lambda: running.state == "running")
    queue.close(grace=0.05)
    assert isinstance(running.error, Draining)


def test_kept_jobs_are_their_owners_and_go() -> None:
    queue = JobQueue(keep_seconds=0.1)
    job = queue.submit(lambda _: 1, "a", "x", is_kept=True)
    until(lambda: job.is_over)
    assert queue.find(job.id, "a") is job
    assert queue.find(job.id, "b") is None
    time.sleep(0.15)
    assert queue.find(job.id, "a") is None
    few = JobQueue(keep_jobs=3)
    before = [few.submit(lambda _: 1, "a", str(i), is_kept=True) for i in range(3)]
    until(lambda: all(job.is_over for job in before))
    newest = few.submit(lambda _: 1, "a", "new", is_kept=True)
    assert few.find(newest.id, "a") is newest
    assert [few.find(job.id, "a") is not None for job in before] == [False, True, True]
    assert few.submit(lambda _: 1, "b", "other", is_kept=True)
    assert few.find(newest.id, "a") is newest
    queue.close()
    few.close()
