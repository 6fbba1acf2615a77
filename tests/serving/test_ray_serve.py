"""The API on a real Ray cluster of two nodes: `docs/serve.yaml` with one core for each engine."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import psutil
import pytest
import yaml

from cyclorama import BackgroundGenerator
from cyclorama.models.store import resolve
from tests.cluster import Cluster
from tests.conftest import PHOTOS, ROOT
from tests.serving.conftest import Running

ENGINE = "ray::ServeReplica:cyclorama:Engine"
LONG = {"n": "10", "num_inference_steps": "100"}


@dataclass(frozen=True)
class OnRay:
    cluster: Cluster
    address: str

    def post(self, path: str, **fields: str) -> httpx.Response:
        files = {"image": (PHOTOS / "cat.jpg").read_bytes()}
        data = {"prompt": "a sandy beach", "seed": "3", **fields}
        return httpx.post(f"{self.address}/v1/{path}", files=files, data=data, timeout=120)

    def job(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.address}/v1/jobs/{name}", timeout=60).json()
        return answer

    def cancel(self, name: str) -> None:
        httpx.delete(f"{self.address}/v1/jobs/{name}", timeout=60).raise_for_status()

    def engines(self) -> list[psutil.Process]:
        return [one for one in psutil.process_iter() if (_words(one) or "").startswith(ENGINE)]


def _words(process: psutil.Process) -> str | None:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return None


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnRay]:
    folder = tmp_path_factory.mktemp("ray-serve")
    shutil.copytree(resolve("nano"), folder / "second")
    config = yaml.safe_load((ROOT / "docs" / "serve.yaml").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config["http_options"]["port"] = port
    config["applications"][0]["args"] = {
        "models": ["nano", str(folder / "second")], "threads": 1, "least_engines": 2, "most_engines": 2, "queue": 3,
    }  # fmt: skip
    (folder / "serve.yaml").write_text(yaml.safe_dump(config))
    cluster = Cluster(folder)
    words = [sys.executable, "-m", "ray.serve.scripts", "run", "--address", cluster.address, str(folder / "serve.yaml")]
    with (folder / "log").open("w") as log:
        serving = subprocess.Popen(words, stdout=log, stderr=log, env=cluster.environment)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert serving.poll() is None, (folder / "log").read_text()
        try:
            return httpx.get(f"{address}/readyz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(answers, 120)
        yield OnRay(cluster, address)
    finally:
        serving.terminate()
        try:
            serving.wait(60)
        finally:
            cluster.end()


def test_the_official_client_gets_the_picture_that_one_machine_makes(on_ray: OnRay, server: Running) -> None:
    client = openai.OpenAI(base_url=f"{on_ray.address}/v1", api_key="none")
    edit = client.images.edit(image=(PHOTOS / "cat.jpg").read_bytes(), prompt="a sandy beach", extra_body={"seed": "3"})
    with BackgroundGenerator.load("nano", threads=1) as generator:
        here = generator.generate(generator.prepare(PHOTOS / "cat.jpg"), "a sandy beach", seed=3)
    assert edit.data is not None
    assert edit.data[0].b64_json is not None
    assert base64.b64decode(edit.data[0].b64_json) == here.encode("png")


def test_models_errors_and_masks_are_as_without_ray(on_ray: OnRay) -> None:
    assert on_ray.post("images/edits", model="second").json()["cyclorama"]["model"] == "second"
    refused = on_ray.post("images/edits", num_inference_steps="1000")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "num_inference_steps")
    broken = httpx.post(f"{on_ray.address}/v1/masks", files={"image": b"no picture"}, timeout=60)
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "bad_image")
    mask = httpx.post(f"{on_ray.address}/v1/masks", files={"image": (PHOTOS / "cat.jpg").read_bytes()}, timeout=60)
    assert base64.b64decode(mask.json()["data"][0]["b64_json"]).startswith(b"\x89PNG")


def test_the_queue_is_bounded_and_a_cancel_reaches_the_steps(on_ray: OnRay) -> None:
    jobs = [on_ray.post("jobs", **LONG).json()["id"] for _ in range(2)]
    until(lambda: all(on_ray.job(job)["progress"] > 0 for job in jobs))  # one in each engine
    waiting = [on_ray.post("jobs", **LONG).json()["id"] for _ in range(3)]
    refused = on_ray.post("jobs", **LONG)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    for job in (*waiting, *jobs):
        on_ray.cancel(job)
    until(lambda: all(on_ray.job(job)["status"] == "cancelled" for job in jobs))
    # Both would be busy for minutes if their steps went on.
    again = [on_ray.post("jobs").json()["id"] for _ in range(2)]
    until(lambda: all(on_ray.job(job)["status"] == "done" for job in again), 30)


@pytest.mark.parametrize("what", ["engine", "machine"])
def test_orders_outlive(what: str, on_ray: OnRay) -> None:
    whole = on_ray.post("images/edits", num_inference_steps="40").json()["data"]
    jobs = [on_ray.post("jobs", num_inference_steps="40").json()["id"] for _ in range(2)]
    until(lambda: any(on_ray.job(job)["progress"] > 0 for job in jobs))
    if what == "machine":
        on_ray.cluster.lose_a_node()
    else:
        for engine in on_ray.engines():
            engine.kill()
    until(lambda: all(on_ray.job(job)["status"] in ("done", "failed") for job in jobs), 120)
    made = [on_ray.job(job) for job in jobs]
    assert [job["status"] for job in made] == ["done", "done"], made
    assert all(job["result"]["data"] == whole for job in made)
