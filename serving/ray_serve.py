"""The HTTP API on a Ray cluster: one door with the queue and the jobs, and engines on as many machines as there are.

    serve run cyclorama.serving.ray_serve:application models=nano most_engines=4

The door is the very application that `cyclorama serve` runs. Its workers hand each order to an engine, tell the job how
far that is, and hand it to another engine where the first is lost.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent import futures
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import FastAPI
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from ray import serve
from ray.exceptions import RayActorError, TaskCancelledError
from ray.serve.exceptions import RayServeException, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from cyclorama import BackgroundGenerator
from cyclorama.engine.errors import BackendUnavailable, Cancelled, InvalidOptions
from cyclorama.engine.machine import use_cores
from cyclorama.engine.matting.networks import DEFAULT_MASK_MODEL, mask_network
from cyclorama.models.store import named_or_folder
from cyclorama.serving.app import Settings, make_app
from cyclorama.serving.guard import Tokens
from cyclorama.serving.jobs import Job, JobQueue
from cyclorama.serving.requests import LIMITS, MaskOrder, Order
from cyclorama.serving.service import Answer, Service

_TRIES = 3  # engines that an order is given to, one after another, when they are lost
_CANCELLED = (TaskCancelledError, RequestCancelledError, asyncio.CancelledError, futures.CancelledError)
_What = Literal["paint", "mask"]


def _listed(models: object) -> object:
    return models.split(",") if isinstance(models, str) else models


class Arguments(BaseModel):
    """What `serve run` or a `serve.yaml` may say; each engine takes `threads` cores of the cluster."""

    model_config = ConfigDict(extra="forbid")

    models: Annotated[list[str], BeforeValidator(_listed)] = Field(["nano"], min_length=1)
    threads: int = Field(2, ge=1)
    least_engines: int = Field(1, ge=1)
    most_engines: int = Field(2, ge=1)
    queue: int = Field(16, ge=1)
    deadline: float = Field(600.0, gt=0)


class _Seen(NamedTuple):
    """What an engine tells of an order. partials: where they are others than before.  answer: the last of all."""

    progress: float
    partials: list[bytes] | None
    answer: Answer | None = None
    error: BaseException | None = None


@serve.deployment
class Engine:
    """Paints, one order at a time, with one model loaded."""

    def __init__(self, models: dict[str, str], threads: int) -> None:
        self._models, self._threads = models, threads
        use_cores(threads)
        mask_network(DEFAULT_MASK_MODEL)

    @serve.multiplexed(max_num_models_per_replica=1)  # type: ignore[untyped-decorator]
    async def _service(self, name: str) -> Service:
        return Service({name: await asyncio.to_thread(_loaded, self._models[name], self._threads)})

    async def carry_out(self, what: _What, order: Order | MaskOrder, owner: str) -> AsyncIterator[_Seen]:
        """Tells where it is after each change, and at last the answer. Closed or cancelled, the painting stops."""
        service = await self._service(serve.get_multiplexed_model_id())
        job, changed, loop = Job(owner, lambda _: None, None), asyncio.Event(), asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(changed.set)

        job.listen(tell)
        work = asyncio.create_task(asyncio.to_thread(getattr(service, what), order, job))
        work.add_done_callback(lambda _: changed.set())
        told: list[bytes] = []
        try:
            while not work.done():
                await changed.wait()
                changed.clear()
                partials = list(job.partials)
                yield _Seen(job.progress, None if partials == told else partials)
                told = partials
            error = work.exception()
            yield _Seen(job.progress, None, None if error else work.result(), error)
        finally:
            job.cancelled.set()  # which the thread sees before its next network run; it does not see CancelledError
            with suppress(Exception):
                await work


class _Elsewhere(Service):
    """A service whose orders are carried out by engines. It checks them itself, before they are put in line."""

    def __init__(self, models: dict[str, BackgroundGenerator], engines: DeploymentHandle[Any]) -> None:
        super().__init__(models)
        self._engines = engines

    def paint(self, order: Order, job: Job, part: tuple[float, float] = (0.0, 1.0)) -> Answer:
        """See Service."""
        model = self.check(order).name
        return self._carried_out("paint", replace(order, model=model), model, job, part)

    def mask(self, order: MaskOrder, job: Job) -> Answer:
        """See Service."""
        return self._carried_out("mask", order, next(iter(self.models)), job, (0.0, 1.0))

    def _carried_out(
        self, what: _What, order: Order | MaskOrder, model: str, job: Job, part: tuple[float, float]
    ) -> Answer:
        for _ in range(_TRIES):
            try:
                return self._by_one(what, order, model, job, part)
            except RayActorError:  # nothing has been handed out yet but previews
                continue
            except _CANCELLED:
                raise Cancelled("the job was cancelled") from None
        raise BackendUnavailable(f"{_TRIES} engines were lost one after another; look at the cluster's log")

    def _by_one(self, what: _What, order: Order | MaskOrder, model: str, job: Job, part: tuple[float, float]) -> Answer:
        handle = self._engines.options(stream=True, multiplexed_model_id=model)
        telling = handle.carry_out.remote(what, order, job.owner)

        def stop() -> None:
            if job.cancelled.is_set():  # a thread, for this may be called in the event loop, and cancel waits
                threading.Thread(target=telling.cancel, daemon=True).start()

        job.listen(stop)
        try:
            stop()
            for seen in telling:
                if seen.error is not None:
                    raise seen.error
                if seen.answer is not None:
                    return seen.answer  # type: ignore[no-any-return]
                job.progress = part[0] + seen.progress * (part[1] - part[0])
                if seen.partials is not None and len(seen.partials) >= len(job.partials):
                    job.partials[:] = seen.partials
                job.changed()
        finally:
            job.unlisten(stop)
        raise RayServeException("an engine ended without an answer")


@serve.deployment
@serve.ingress()
class Door:
    """Where requests come in: the queue, the jobs and the checks. There is one, so that a job is found again."""

    def __init__(self, engines: DeploymentHandle[Any], models: dict[str, str], arguments: Arguments) -> None:
        self._engines, self._models, self._arguments = engines, models, arguments

    def __serve_build_asgi_app__(self) -> FastAPI:
        given = self._arguments
        loaded = {name: _loaded(model, given.threads) for name, model in self._models.items()}
        variable = os.environ.get("CYCLORAMA_TOKENS")
        tokens = Tokens.read(variable.split(",") if variable else [])
        if variable and not tokens.by_name:
            raise InvalidOptions("there is no token in CYCLORAMA_TOKENS; give one, or leave it out")
        queue = JobQueue(given.queue, workers=given.most_engines, owners=len(tokens.by_name))
        return make_app(_Elsewhere(loaded, self._engines), queue, tokens, Settings(deadline=given.deadline))


def application(given: dict[str, Any]) -> serve.Application:
    """What `serve run` and `serve.yaml` name.

    given: see Arguments.  Raises pydantic's ValidationError, ModelNotFound, InvalidOptions.
    """
    arguments = Arguments.model_validate(given)
    models = {Path(model).name: _anywhere(named_or_folder(model)) for model in arguments.models}
    if arguments.most_engines < arguments.least_engines:
        raise InvalidOptions(
            f"most_engines must be at least least_engines ({arguments.least_engines}), got {arguments.most_engines}"
        )
    engines = Engine.options(  # type: ignore[attr-defined]
        ray_actor_options={"num_cpus": arguments.threads},
        max_ongoing_requests=1,
        autoscaling_config={
            "min_replicas": arguments.least_engines,
            "max_replicas": arguments.most_engines,
            "target_ongoing_requests": 1,
        },
    ).bind(models, arguments.threads)
    # On the machine that the cluster stands and falls with, so that no other's loss costs a job.
    here = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
    door = Door.options(ray_actor_options=here, max_ongoing_requests=256)  # type: ignore[attr-defined]
    return door.bind(engines, models, arguments)


def _anywhere(model: str | Path) -> str:
    """A folder's whole path: engines have working folders of their own."""
    return str(model.absolute()) if isinstance(model, Path) else model


def _loaded(model: str, threads: int) -> BackgroundGenerator:
    return BackgroundGenerator.load(named_or_folder(model), limits=LIMITS, threads=threads)
