"""Numbers for whoever runs the server, as Prometheus reads them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from cyclorama.serving import documents
from cyclorama.serving.jobs import Job, JobQueue
from cyclorama.serving.service import Answer, Service

_logger = logging.getLogger("cyclorama.serving")

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class _Counted(Collector):
    """What the queue counts itself."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[CounterMetricFamily]:
        """See prometheus_client."""
        yield CounterMetricFamily("cyclorama_jobs_started", "Jobs that a worker began.", self._queue.started)
        yield CounterMetricFamily("cyclorama_jobs_stopped", "Jobs that a worker ended.", self._queue.stopped)


class Metrics:
    """May be shared between threads."""

    def __init__(self, queue: JobQueue, service: Service) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

        def gauge(name: str, text: str, value: Callable[[], float]) -> None:
            Gauge(name, text, registry=self._registry).set_function(value)

        gauge("cyclorama_jobs_waiting", "Jobs in line.", lambda: queue.waiting)
        gauge("cyclorama_jobs_running", "Jobs that a worker has.", lambda: queue.running)
        gauge("cyclorama_kept_bytes", "Photos, cut-outs and scenes kept.", lambda: service.kept_bytes)
        self._registry.register(_Counted(queue))
        Info("cyclorama_build", "What runs.", registry=self._registry).info({"version": documents.version()})
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
            self._wait.observe(max(0.0, time.time() - job.created))  # the clock may have been set back
            answer = work(job)
            self._pictures.inc(len(answer.pictures))
            stages = answer.facts.get("seconds", {})
            for stage, seconds in stages.items():
                self._stages.labels(stage).observe(seconds)
            made = {"pictures": len(answer.pictures), "seconds": stages}
            told = f"{job.asked_by} made {len(answer.pictures)} in {sum(stages.values()):.2f} s"
            _logger.info(told, extra={"request_id": job.asked_by, "job_id": job.id, **made})
            return answer

        return counted

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
