"""Numbers for whoever runs the server, as Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from cyclorama.serving.jobs import Job, JobQueue
from cyclorama.serving.service import Answer, Service

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """May be shared between threads."""

    def __init__(self, queue: JobQueue, service: Service) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

        def gauge(name: str, text: str, value: Callable[[], float]) -> None:
            Gauge(name, text, registry=self._registry).set_function(value)

        gauge("cyclorama_jobs_waiting", "Jobs in line.", lambda: queue.waiting)
        gauge("cyclorama_jobs_running", "Jobs that a worker has.", lambda: queue.running)
        gauge("cyclorama_jobs_started", "Jobs that a worker began.", lambda: queue.started)
        gauge("cyclorama_jobs_stopped", "Jobs that a worker ended.", lambda: queue.stopped)
        gauge("cyclorama_kept_bytes", "Photos, cut-outs and scenes kept.", lambda: service.kept_bytes)
        self._pictures = Counter("cyclorama_pictures", "Files made.", registry=self._registry)
        self._refusals = Counter("cyclorama_refusals", "Refusals by reason.", ["code"], registry=self._registry)
        self._wait = Histogram(
            "cyclorama_wait_seconds", "From the request to its turn.", buckets=_SECONDS, registry=self._registry
        )
        self._stages = Histogram(
            "cyclorama_stage_seconds", "Of a job, by stage.", ["stage"], buckets=_SECONDS, registry=self._registry
        )

    def refused(self, code: str) -> None:
        """Counts a refusal."""
        self._refusals.labels(code).inc()

    def watched(self, work: Callable[[Job], Answer]) -> Callable[[Job], Answer]:
        """The same work, counted."""

        def counted(job: Job) -> Answer:
            self._wait.observe(time.time() - job.created)
            answer = work(job)
            self._pictures.inc(len(answer.pictures))
            for stage, seconds in answer.facts.get("seconds", {}).items():
                self._stages.labels(stage).observe(seconds)
            return answer

        return counted

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
