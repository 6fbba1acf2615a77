"""The official client, unmodified, finds here what it knows."""

from __future__ import annotations

import base64
import io
import threading
import time

import numpy as np
import openai
import pytest
from PIL import Image

from cyclorama import load_photo
from cyclorama.serving.guard import Tokens
from cyclorama.serving.jobs import Job, JobQueue
from cyclorama.serving.service import Service
from tests.conftest import PHOTOS
from tests.serving.conftest import Running, running

CAT = PHOTOS / "cat.jpg"
PROMPT = "a sandy beach at sunset"
QUICK = {"num_inference_steps": 2, "seed": 3}


@pytest.fixture(scope="module")
def client(server: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)


def decoded(b64_json: str | None) -> Image.Image:
    assert b64_json is not None
    return Image.open(io.BytesIO(base64.b64decode(b64_json)))


def test_an_image_a_list_and_bytes(client: openai.OpenAI) -> None:
    with CAT.open("rb") as file:
        first = client.images.edit(image=file, prompt=PROMPT, extra_body=QUICK)
    listed = client.images.edit(image=[CAT.read_bytes()], prompt=PROMPT, model="nano", extra_body=QUICK)
    assert first.data is not None
    assert listed.data is not None
    assert first.data[0].b64_json == listed.data[0].b64_json
    assert decoded(first.data[0].b64_json).size == (451, 300)
    assert first.usage is not None
    assert first.usage.input_tokens_details.text_tokens == first.usage.input_tokens > 0
    assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens
    assert first.model_extra is not None
    assert first.model_extra["cyclorama"]["seed"] == 3


def test_everything_at_once(client: openai.OpenAI) -> None:
    rgb = load_photo(CAT).rgb
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    alpha[50:250, 100:300] = 255
    mask = io.BytesIO()
    Image.fromarray(np.dstack([rgb, alpha])).save(mask, "png")
    answer = client.images.edit(
        image=io.BytesIO(CAT.read_bytes()), mask=mask.getvalue(), prompt=PROMPT, n=2, size="640x480",
        quality="low", background="opaque", output_format="webp", output_compression=80, input_fidelity="high",
        user="u-1", extra_body={**QUICK, "guidance_interval": [0, 0.5], "subject_position": [0.5, 1], "shadow": True},
    )  # fmt: skip
    assert answer.data is not None
    assert [decoded(one.b64_json).size for one in answer.data] == [(640, 480)] * 2
    assert (answer.size, answer.output_format, answer.quality) == ("640x480", "webp", "low")
    assert answer.safety_identifier == "u-1"


def test_a_stream(client: openai.OpenAI) -> None:
    begin = time.monotonic()
    at: list[float] = []
    events = []
    stream = client.images.edit(
        image=CAT.read_bytes(), prompt=PROMPT, stream=True, partial_images=2,
        extra_body={"num_inference_steps": 30, "seed": 3},
    )  # fmt: skip
    for event in stream:
        events.append(event)
        at.append(time.monotonic() - begin)
    assert [event.type for event in events] == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]
    first, second, final = (np.asarray(decoded(event.b64_json).convert("RGB"), int) for event in events)
    assert first.shape == second.shape
    assert np.abs(first - second).max() > 0
    small = np.asarray(decoded(events[2].b64_json).resize((second.shape[1], second.shape[0])), int)
    assert np.abs(second - small).max() > 0
    assert final.shape == (300, 451, 3)
    assert at[0] < 0.6 * at[2]
    assert [getattr(event, "partial_image_index", None) for event in events] == [0, 1, None]
    assert events[2].type == "image_edit.completed"
    assert events[2].usage.total_tokens > 0


def test_an_error_in_a_stream(service: Service) -> None:
    with running(service, JobQueue()) as server:
        client = openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)
        blank = io.BytesIO()
        Image.new("RGB", (64, 64), "grey").save(blank, "png")
        stream = client.images.edit(image=blank.getvalue(), prompt=PROMPT, stream=True)
        with pytest.raises(openai.APIError, match="no subject found"):
            list(stream)


def test_errors_have_their_classes(client: openai.OpenAI, service: Service) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.edit(image=b"no photo", prompt=PROMPT)
    assert (bad.value.param, bad.value.code) == ("image", "bad_image")
    assert bad.value.request_id is not None
    with pytest.raises(openai.NotFoundError):
        client.images.generate(prompt=PROMPT)
    tokens = Tokens.read(["ann:aaaaaaaaaaaaaaaaaaaa"])
    queue = JobQueue()
    with running(service, queue, tokens) as server:
        address = f"{server.address}/v1"
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=address, api_key="wrong").images.edit(image=CAT.read_bytes(), prompt=PROMPT)
        known = openai.OpenAI(base_url=address, api_key="a" * 20, max_retries=0)
        assert [model.id for model in known.models.list()] == ["nano"]
        queue.close(0)
        with pytest.raises(openai.InternalServerError, match="shutting down"):
            known.images.edit(image=CAT.read_bytes(), prompt=PROMPT)


def test_a_retry_after_429_succeeds(service: Service) -> None:
    """A place is held for the request, so that the client that waits as it is told is not refused again."""
    gate = threading.Event()

    def slow(_: Job) -> None:
        gate.wait(20)

    queue = JobQueue(capacity=1)
    with running(service, queue) as server:
        client = openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)
        queue.submit(lambda _: time.sleep(0.3), "warm", "warm")
        while queue.running or queue.waiting:
            time.sleep(0.01)
        for number in "12":
            queue.submit(slow, "everybody", number)
            _is_running(queue)
        threading.Timer(0.5, gate.set).start()
        patient = client.with_options(max_retries=1)
        answer = patient.images.with_raw_response.edit(image=CAT.read_bytes(), prompt=PROMPT, extra_body=QUICK)
        assert answer.retries_taken == 1
        assert answer.parse().data
        gate.clear()
        for number in "12":
            queue.submit(slow, "everybody", number)
            _is_running(queue)
        with pytest.raises(openai.RateLimitError) as full:
            client.images.edit(image=CAT.read_bytes(), prompt=PROMPT, extra_body=QUICK)
        assert int(full.value.response.headers["retry-after"]) >= 1
        gate.set()


def _is_running(queue: JobQueue) -> None:
    while not queue.running:
        time.sleep(0.01)
