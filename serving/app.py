"""The HTTP API: OpenAI's image edits over our queue, masks, jobs, and what whoever runs it looks at."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Match, Route
from starlette.types import Scope

from cyclorama.engine.errors import Cancelled, CycloramaError
from cyclorama.serving import documents
from cyclorama.serving.bodies import read_parts
from cyclorama.serving.errors import described, failed, refusal, shape
from cyclorama.serving.guard import Guard, Tokens, request_id
from cyclorama.serving.jobs import Job, JobQueue
from cyclorama.serving.metrics import Metrics
from cyclorama.serving.requests import Order, Refused, read_edit, read_mask
from cyclorama.serving.service import Answer, Service

_KEEP_ALIVE = 15.0  # seconds between comments in a stream in which nothing happens


@dataclass(frozen=True)
class Settings:
    """How a server answers.

    most_bytes: of a request's body.  upload_seconds: in which it must have come.  deadline: seconds for an answer that
    somebody waits for; jobs have none.  grace: seconds that what runs may take to finish at a shutdown.
    """

    most_bytes: int = 64 * 1024 * 1024
    upload_seconds: float = 60.0
    deadline: float = 600.0
    grace: float = 30.0
    hosts: frozenset[str] = frozenset()


def make_app(
    service: Service, queue: JobQueue, tokens: Tokens | None = None, settings: Settings | None = None
) -> FastAPI:
    """The application: it takes ownership of the queue, which it closes at its shutdown."""
    settings = settings or Settings()
    metrics = Metrics(queue, service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(queue.close, settings.grace)

    app = FastAPI(
        title="Cyclorama", version=documents.version(), description=documents.DESCRIPTION, lifespan=lifespan,
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.add_middleware(Guard, tokens=tokens or Tokens(), most_bytes=settings.most_bytes, hosts=settings.hosts)
    _answer_errors(app, metrics)
    api = _Api(service, queue, settings, metrics)
    app.post("/v1/images/edits", **documents.edits())(api.edits)
    app.post("/v1/masks", **documents.masks())(api.masks)
    app.post("/v1/jobs", **documents.new_job())(api.new_job)
    app.get("/v1/jobs/{job_id}", **documents.job())(api.job)
    app.get("/v1/jobs/{job_id}/events", **documents.job_events())(api.job_events)
    app.delete("/v1/jobs/{job_id}", **documents.job())(api.cancel_job)
    app.get("/v1/models", **documents.models())(api.models)
    app.get("/healthz", **documents.health())(api.healthz)
    app.get("/readyz", **documents.readiness())(api.readyz)
    app.get("/metrics", **documents.metrics())(api.metrics)
    return app


class _Api:
    """What is done at each address."""

    def __init__(self, service: Service, queue: JobQueue, settings: Settings, metrics: Metrics) -> None:
        self._service, self._queue, self._settings, self._metrics = service, queue, settings, metrics

    async def edits(self, request: Request) -> Response:
        """The photo on a new background, by a prompt. OpenAI's API, and the engine's options."""
        order = await run_in_threadpool(read_edit, await self._given(request))
        job = self._submit(order, request)
        if order.is_streamed:
            events = _edit_events(job, self._queue, order, request_id(request))
            return StreamingResponse(events, media_type="text/event-stream")
        return await self._answered(job, request)

    async def masks(self, request: Request) -> Response:
        """Where the subject of a photo is: its alpha, or the subject cut out."""
        order = await run_in_threadpool(read_mask, await self._given(request))
        work = self._metrics.watched(lambda job: self._service.mask(order, job))
        deadline = self._settings.deadline
        job = self._queue.submit(work, request.state.owner, order.key, deadline, asked_by=request_id(request))
        return await self._answered(job, request)

    async def new_job(self, request: Request) -> Response:
        """The same work as /v1/images/edits, to be asked for later."""
        order = await run_in_threadpool(read_edit, await self._given(request))
        if order.is_streamed:
            raise Refused("a job has events of its own at /v1/jobs/ID/events; leave stream out", option="stream")
        job = self._submit(order, request, is_kept=True)
        return await _rendered(_job_response, job, self._queue, status=202, headers={"location": f"/v1/jobs/{job.id}"})

    async def job(self, job_id: str, request: Request) -> Response:
        """Where a job is, and once it is done its pictures."""
        return await _rendered(_job_response, self._found(job_id, request), self._queue)

    async def job_events(self, job_id: str, request: Request) -> Response:
        """A job's changes as they come; the last is the job when it is over."""
        job = self._found(job_id, request)

        async def events() -> AsyncIterator[bytes]:
            async for is_change in _changes(job):
                if not is_change:
                    yield format_sse_event(comment="waiting")
                    continue
                body = await run_in_threadpool(lambda: json.dumps(_job_response(job, self._queue)))
                yield format_sse_event(data_str=body, event=job.state)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def cancel_job(self, job_id: str, request: Request) -> Response:
        """Cancels a job: at once while it waits, within one network run while it is painted."""
        job = self._found(job_id, request)
        await run_in_threadpool(self._queue.cancel, job)
        return await _rendered(_job_response, job, self._queue)

    async def models(self) -> dict[str, Any]:
        """The models that were started."""
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": "cyclorama"} for name in self._service.models
        ]
        return {"object": "list", "data": listed}

    async def healthz(self) -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    async def readyz(self) -> Response:
        """Whether work is taken: not while shutting down."""
        if self._queue.is_draining:
            return refusal("the server is shutting down", 503)
        return JSONResponse({"status": "ready", "waiting": self._queue.waiting, "running": self._queue.running})

    async def metrics(self) -> Response:
        """For Prometheus."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    def _submit(self, order: Order, request: Request, *, is_kept: bool = False) -> Job:
        self._service.check(order)
        work = self._metrics.watched(lambda job: self._service.paint(order, job))
        deadline = None if is_kept else self._settings.deadline
        return self._queue.submit(
            work, request.state.owner, order.key, deadline, is_kept=is_kept, asked_by=request_id(request)
        )

    async def _answered(self, job: Job, request: Request) -> Response:
        await _finished(job, self._queue, request)
        if job.error is not None:
            self._metrics.refused(getattr(job.error, "code", "internal_error"))
            return failed(job.error, request_id(request))
        if job.result is None:  # nobody reads this
            return refusal("the client went away", 400)
        return await _rendered(images_response, job.result)

    async def _given(self, request: Request) -> list[tuple[str, Any]]:
        return await read_parts(request, self._settings.most_bytes, self._settings.upload_seconds)

    def _found(self, job_id: str, request: Request) -> Job:
        job = self._queue.find(job_id, request.state.owner)
        if job is None:
            raise HTTPException(404, "there is no such job here; ended ones are kept for a quarter of an hour")
        return job


def wrong_address(app: FastAPI, scope: Scope) -> Response | None:
    """What the API answers to a request that none of its addresses takes, for whatever is mounted at / behind it."""
    allowed = _allowed(app, scope)
    if allowed:
        return refusal("Method Not Allowed", 405, {"allow": allowed})
    return refusal("Not Found", 404) if str(scope["path"]).startswith("/v1") else None


def _allowed(app: FastAPI, scope: Scope) -> str:
    """The methods that an address takes."""
    here = [route for route in app.routes if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in here for method in route.methods or ()}))


def _answer_errors(app: FastAPI, metrics: Metrics) -> None:
    @app.exception_handler(CycloramaError)
    async def ours(request: Request, error: CycloramaError) -> Response:
        metrics.refused(error.code)
        return failed(error, request_id(request))

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        metrics.refused(str(error.status_code))
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if error.status_code == 405:  # Starlette names the methods of the first route alone
            headers["allow"] = _allowed(app, request.scope)
        return refusal(str(error.detail), error.status_code, headers)

    @app.exception_handler(RequestValidationError)
    async def of_validation(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return JSONResponse(shape(str(first["msg"]), 400, str(first["loc"][-1])), 400)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> Response:
        return refusal("the client went away", 400)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        metrics.refused("internal_error")
        answer = failed(error, request_id(request))  # beyond the guard, which names the request otherwise
        answer.headers["x-request-id"] = request_id(request)
        return answer


async def _changes(job: Job) -> AsyncIterator[bool]:
    """True after each change of a job, the first at once and the last when it is over; False now and then between."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(changed.set)

    job.listen(tell)
    try:
        while True:
            changed.clear()
            is_over = job.is_over
            yield True
            if is_over:
                return
            while not changed.is_set() and not job.is_over:
                try:
                    await asyncio.wait_for(changed.wait(), _KEEP_ALIVE)
                except TimeoutError:
                    yield False
    finally:
        job.unlisten(tell)


async def _finished(job: Job, queue: JobQueue, request: Request) -> None:
    """Waits for a job; a client that goes away cancels it."""

    async def over() -> None:
        async for _ in _changes(job):
            pass

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    waiting = [asyncio.create_task(over()), asyncio.create_task(gone())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        if not job.is_over:
            await run_in_threadpool(queue.cancel, job, Cancelled("the client went away"))


async def _edit_events(job: Job, queue: JobQueue, order: Order, asked_by: str) -> AsyncIterator[bytes]:
    """OpenAI's events of a streamed edit."""
    sent = 0
    try:
        async for is_change in _changes(job):
            if not is_change:
                yield format_sse_event(comment="waiting")
                continue
            for partial in job.partials[sent:]:
                event = {"partial_image_index": sent, "b64_json": _base64(partial), **order.about}
                yield await run_in_threadpool(_event, "image_edit.partial_image", event)
                sent += 1
        if job.error is not None:
            yield format_sse_event(data_str=json.dumps(described(job.error, asked_by)[1]), event="error")
            return
        body = await run_in_threadpool(images_response, job.result)
        for picture in body["data"]:
            event = {**picture, **order.about, "size": body["size"], "usage": body["usage"]}
            event["cyclorama"] = body["cyclorama"]
            yield await run_in_threadpool(_event, "image_edit.completed", event)
    finally:
        if not job.is_over:
            queue.cancel(job, Cancelled("the client went away"))


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return format_sse_event(data_str=json.dumps({"type": kind, "created_at": int(time.time()), **data}), event=kind)


async def _rendered(
    make: Callable[..., dict[str, Any]], *given: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """An answer whose JSON, which may be long, is made in another thread."""
    body = await run_in_threadpool(lambda: json.dumps(make(*given)).encode())
    return Response(body, status, headers, "application/json")


def images_response(answer: Answer) -> dict[str, Any]:
    """OpenAI's `ImagesResponse`, with our own facts in the field `cyclorama`."""
    about = {name: fact for name, fact in answer.about.items() if fact != "auto"}
    usage = {
        "input_tokens": answer.text_tokens, "output_tokens": answer.image_tokens,
        "total_tokens": answer.text_tokens + answer.image_tokens,
        "input_tokens_details": {"text_tokens": answer.text_tokens, "image_tokens": 0},
    }  # fmt: skip
    return {
        "created": int(time.time()), "data": [{"b64_json": _base64(data)} for data in answer.pictures], **about,
        "size": answer.size, "usage": usage, "cyclorama": answer.facts,
    }  # fmt: skip


def _job_response(job: Job, queue: JobQueue) -> dict[str, Any]:
    left = queue.time_left(job)
    body: dict[str, Any] = {
        "id": job.id, "object": "job", "status": job.state, "created_at": int(job.created),
        "place": queue.place(job), "time_left": None if left is None else round(left, 1),
        "progress": round(job.progress, 3), "preview": _base64(job.partials[-1]) if job.partials else None,
        "result": None if job.result is None else images_response(job.result), "error": None,
    }  # fmt: skip
    if job.error is not None:
        body["error"] = described(job.error, job.id)[1]["error"]
    return body


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
