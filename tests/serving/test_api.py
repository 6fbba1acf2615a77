"""What is asked over HTTP is what is asked of the engine; what cannot be is refused by name."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from importlib.metadata import version
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from cyclorama import BackgroundGenerator, find_subject, load_photo
from cyclorama.engine.matting.networks import OnnxMask
from cyclorama.engine.options import SAMPLERS
from cyclorama.serving.app import Settings
from cyclorama.serving.guard import Tokens
from cyclorama.serving.jobs import JobQueue
from cyclorama.serving.requests import EDIT
from cyclorama.serving.service import Service
from tests.conftest import PHOTOS, small_files
from tests.serving.conftest import Running, running

CAT = (PHOTOS / "cat.jpg").read_bytes()
PROMPT = "a sandy beach at sunset"
QUICK = {"prompt": PROMPT, "num_inference_steps": "2", "seed": "3"}


def picture(answer: httpx.Response, number: int = 0) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][number]["b64_json"])))


def png(array: np.ndarray[Any, Any]) -> bytes:
    with io.BytesIO() as file:
        Image.fromarray(array).save(file, "png")
        return file.getvalue()


def rgba_mask(alpha: np.ndarray[Any, Any]) -> bytes:
    return png(np.dstack([np.zeros((*alpha.shape, 3), np.uint8), alpha]))


def edit(server: Running, /, image: bytes = CAT, files: dict[str, Any] | None = None, **data: Any) -> httpx.Response:
    return server.post(files={"image": image, **(files or {})}, data={**QUICK, **data})


def refused(answer: httpx.Response, param: str | None, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["param"] == param, error
    assert answer.headers["x-request-id"].startswith("req_")
    return str(error["message"])


def test_the_same_picture_as_in_python(server: Running, generator: BackgroundGenerator) -> None:
    answer = edit(server, strength="1", shadow="true", guidance_interval="0,0.5")
    own = generator.generate(
        generator.prepare(CAT), PROMPT, num_inference_steps=2, seed=3, shadow=True, guidance_interval=(0, 0.5)
    )
    np.testing.assert_array_equal(np.asarray(picture(answer)), np.asarray(own.image))
    body = answer.json()
    assert body["cyclorama"]["seed"] == 3
    assert body["cyclorama"]["notes"] == list(own.notes)
    assert min(body["cyclorama"]["seconds"].values()) >= 0
    assert body["size"] == "451x300"
    assert body["usage"]["input_tokens"] == 7
    assert body["background"] == "opaque"
    rgb = load_photo(CAT).rgb
    certain = find_subject(rgb) == 255
    np.testing.assert_array_equal(np.asarray(picture(answer))[certain], rgb[certain])


def test_several_pictures_have_seeds_in_a_row(server: Running) -> None:
    answer = edit(server, n="2")
    assert answer.json()["cyclorama"]["seeds"] == [3, 4]
    second = np.asarray(picture(edit(server, seed="4")))
    np.testing.assert_array_equal(np.asarray(picture(answer, 1)), second)


def test_the_mask_is_openais(server: Running) -> None:
    """Alpha 0 is repainted; alpha 255 stays to the bit."""
    rgb = load_photo(CAT).rgb
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    alpha[60:240, 100:300] = 255
    painted = np.asarray(picture(edit(server, files={"mask": rgba_mask(alpha)})))
    np.testing.assert_array_equal(painted[alpha == 255], rgb[alpha == 255])
    assert np.abs(painted[alpha == 0].astype(int) - rgb[alpha == 0]).mean() > 5
    white = np.asarray(picture(edit(server, files={"mask": png(alpha)}, mask_kind="subject")))
    np.testing.assert_array_equal(white, painted)


def test_an_opaque_mask_gives_the_photo_back(server: Running) -> None:
    rgb = load_photo(CAT).rgb
    same = edit(server, files={"mask": rgba_mask(np.full(rgb.shape[:2], 255, np.uint8))})
    np.testing.assert_array_equal(np.asarray(picture(same)), rgb)
    twice = edit(server, n="2", files={"mask": rgba_mask(np.full(rgb.shape[:2], 255, np.uint8))})
    assert len(twice.json()["data"]) == 2


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16", "RGB"])
def test_a_mask_without_transparency_is_refused(server: Running, mode: str) -> None:
    with io.BytesIO() as file:
        Image.new(mode, (451, 300)).save(file, "png")
        assert "no transparency" in refused(edit(server, files={"mask": file.getvalue()}), "mask")


def test_masks_that_cannot_be(server: Running) -> None:
    small = rgba_mask(np.zeros((30, 40), np.uint8))
    assert "is 40x30 but the photo is 451x300" in refused(edit(server, files={"mask": small}), "mask")
    assert "cannot be read" in refused(edit(server, files={"mask": b"no png"}), "mask")
    empty = rgba_mask(np.zeros((300, 451), np.uint8))
    assert "transparent all over" in refused(edit(server, files={"mask": empty}), "mask")
    jpeg = (PHOTOS / "cat.jpg").read_bytes()
    assert "a mask is a PNG, got JPEG" in refused(edit(server, files={"mask": jpeg}), "mask")
    assert "box helps to find a mask" in refused(edit(server, files={"mask": empty}, box="1,2,30,40"), "box")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("foo", "1", "there is no field 'foo'"),
        ("n", "11", "n"),
        ("n", "0", "greater than or equal to 1"),
        ("n", "two", "valid integer"),
        ("n", "", "valid integer"),
        ("size", "big", "WIDTHxHEIGHT"),
        ("size", "99999x99999", "canvas"),
        ("size", "3:4", "WIDTHxHEIGHT"),
        ("quality", "xhigh", "'low', 'medium', 'high' or 'auto'"),
        ("output_format", "gif", "png"),
        ("output_compression", "50", "PNG"),
        ("response_format", "url", "b64_json"),
        ("input_fidelity", "low", "high"),
        ("model", "gpt-image-2", "choose one of nano"),
        ("model", "../../etc", "choose one of nano"),
        ("mask_model", "/etc/passwd", "u2net-int8"),
        ("matting_model", "/etc/passwd", "there is no field"),
        ("num_inference_steps", "101", "less than or equal to 100"),
        ("sampler", "magic", SAMPLERS[0]),
        ("box", "1,2,3", "numbers with commas"),
        ("box", "1,2,3,x", "numbers with commas"),
        ("box", "100000,1,5,5", "box"),
        ("stream", "perhaps", "boolean"),
        ("partial_images", "2", "stream=true"),
        ("markup", "x", "there is no field"),
        ("prompt", "", "empty"),
        ("shadow", "2", "boolean"),
        ("seed", "-1", "greater"),
        ("seed", "1e400", "integer"),
        ("canvas", "1:90", "shape"),
        ("working_size", "4096", "1024"),
        ("guidance_scale", "nan", "guidance_scale"),
        ("best_of", "11", "less than or equal to 10"),
        ("working_size", "8", "working_size must"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(server: Running, field: str, value: str, said: str) -> None:
    started = server.queue.started
    param = field
    assert said in refused(edit(server, CAT, None, **{field: value}), param)
    assert server.queue.started - started <= (field in ("box", "working_size"))


def test_fields_that_exclude_each_other(server: Running) -> None:
    for given, param in (
        ({"quality": "low", "preset": "fast"}, "preset"),
        ({"size": "64x64", "canvas": "square"}, "canvas"),
        ({"background": "transparent", "backdrop": "white"}, "backdrop"),
        ({"background": "transparent", "output_format": "jpeg"}, "output_format"),
        ({"backdrop": "white", "seed": "1"}, "seed"),
        ({"backdrop": "white", "n": "2"}, "n"),
        ({"backdrop": "http://example.org/x.png"}, "backdrop"),
        ({"backdrop": "nosuchcolour"}, "backdrop"),
        ({"mask_kind": "subject"}, "mask_kind"),
        ({"n": "5", "best_of": "3"}, "n"),
        ({"backdrop": "white", "working_size": "256"}, "working_size"),
        ({"backdrop": "white", "colour_match": "true"}, "colour_match"),
        ({"backdrop": "transparent", "background": "opaque"}, "background"),
        ({"cache_interval": "3"}, "cache_interval"),
        ({"timestep_spacing": "trailing"}, "timestep_spacing"),
        ({"guidance_scale": "1", "guidance_interval": "0,0.5"}, "guidance_interval"),
        ({"box": "0,0,20,20"}, "box"),
        ({"user": "x" * 1000}, "user"),
    ):
        refused(server.post(files={"image": CAT}, data={"prompt": PROMPT, **given}), param)


def test_photos_that_cannot_be(server: Running) -> None:
    refused(server.post(data=QUICK), "image")
    refused(server.post(files={"image": CAT}), "prompt")
    refused(edit(server, image=b""), "image")
    refused(edit(server, image=b"no photo"), "image")
    refused(server.post(data={**QUICK, "image": "cat.jpg"}), "image")
    twice = [("image", ("a.jpg", CAT)), ("image", ("b.jpg", CAT))]
    assert "one photo" in refused(server.post(files=twice, data=QUICK), "image")
    assert "one photo" in refused(server.post(files=[("image[]", CAT), ("image[]", CAT)], data=QUICK), "image")
    refused(server.post(files={"image": CAT}, data={"prompt": ["a beach", "a wood"]}), "prompt")
    blank = png(np.full((64, 64, 3), 200, np.uint8))
    answer = edit(server, image=blank)
    assert "no subject found" in refused(answer, "image")
    assert answer.json()["error"]["code"] == "no_subject"
    assert "50 million" in refused(edit(server, image=b"P5 9000 9000 255 "), "image")


def test_files_are_known_by_content(server: Running) -> None:
    name = "../../a\nb.txt"
    answer = server.post(files={"image": (name, CAT, "text/plain")}, data=QUICK)
    assert picture(answer).size == (451, 300)


def test_given_backgrounds(server: Running) -> None:
    rgb = load_photo(CAT).rgb
    data: dict[str, str] = {}
    cut = server.post(files={"image": CAT}, data={**data, "background": "transparent"})
    assert picture(cut).mode == "RGBA"
    assert cut.json()["background"] == "transparent"
    red = np.asarray(picture(server.post(files={"image": CAT}, data={**data, "backdrop": "#ff0000"})))
    alpha = find_subject(rgb)
    assert (red[alpha == 0] == (255, 0, 0)).all()
    blurred = server.post(files={"image": CAT}, data={**data, "backdrop": "blur"})
    assert picture(blurred).size == (451, 300)
    behind = server.post(files={"image": CAT, "backdrop": (PHOTOS / "coffee.jpg").read_bytes()}, data=data)
    assert picture(behind).size == (451, 300)
    refused(server.post(files={"image": CAT, "backdrop": b"x\xff" * 50}, data=data), "backdrop")


def test_formats_and_sizes(server: Running) -> None:
    for kind, name in (("jpeg", "JPEG"), ("webp", "WEBP")):
        answer = edit(server, output_format=kind, output_compression="40", size="256x320")
        shown = picture(answer)
        assert (shown.format, shown.size, answer.json()["size"]) == (name, (256, 320), "256x320")
    small = edit(server, output_format="jpeg", max_bytes="9000")
    assert len(base64.b64decode(small.json()["data"][0]["b64_json"])) <= 9000


def test_json_bodies(server: Running) -> None:
    url = "data:image/jpeg;base64," + base64.b64encode(CAT).decode()
    body = {"images": [{"image_url": url}], "prompt": PROMPT, "num_inference_steps": 2, "seed": 3, "box": None}
    np.testing.assert_array_equal(np.asarray(picture(server.post(json=body))), np.asarray(picture(edit(server))))
    for wrong, param in (
        ({**body, "images": [{"image_url": "https://example.org/cat.jpg"}]}, "image"),
        ({**body, "images": [{"file_id": "file-1"}]}, "images"),
        ({**body, "images": [{"image_url": url}] * 2}, "image"),
        ({**body, "images": url}, "images"),
        ({**body, "n": True}, "n"),
        ({**body, "n": [1]}, "n"),
        ({**body, "prompt": {"a": 1}}, "prompt"),
        ({**body, "box": [1, 2, 3]}, "box"),
        ({**body, "box": {"x": 1}}, "box"),
        ({**body, "user": "\ud800"}, "user"),
        ({**body, "\ud800": "x"}, "\\ud800"),
        ({**body, "seed": [[]] * 60_000}, None),
        ({**body, "images": [{"image_url": "data:image/jpeg;base64,%%%"}]}, "image"),
    ):
        text = json.dumps(wrong).encode()  # with escapes, where the client would send bytes that are no text
        refused(server.post(content=text, headers={"content-type": "application/json"}), param)
    refused(server.post(content=b"{", headers={"content-type": "application/json"}), None)
    refused(server.post(content=b"[" * 100_000, headers={"content-type": "application/json"}), None)
    refused(server.post(content=b"[1]", headers={"content-type": "application/json"}), None)
    refused(server.post(content=b"x", headers={"content-type": "text/plain"}), None, 415)


def test_masks_have_an_address_of_their_own(server: Running) -> None:
    rgb = load_photo(CAT).rgb
    found = picture(server.post("/v1/masks", files={"image": CAT}))
    np.testing.assert_array_equal(np.asarray(found), find_subject(rgb))
    boxed = server.post("/v1/masks", files={"image": CAT}, data={"box": "20,10,380,280", "kind": "cutout"})
    assert picture(boxed).mode == "RGBA"
    brush = np.zeros(rgb.shape[:2], np.uint8)
    brush[100:140, 150:200] = 255
    dropped = picture(server.post("/v1/masks", files={"image": CAT, "drop": png(brush)}))
    assert not np.asarray(dropped)[brush > 0].any()
    refused(server.post("/v1/masks", files={"image": CAT, "drop": png(brush[:5])}), "drop")
    refused(server.post("/v1/masks", files={"image": CAT}, data={"prompt": "x"}), "prompt")


def test_the_second_prompt_costs_no_mask(server: Running) -> None:
    photo = (PHOTOS / "coffee.jpg").read_bytes()
    first = edit(server, image=photo).json()["cyclorama"]["seconds"]
    looked = time.perf_counter()
    second = edit(server, image=photo, prompt="snowy mountains", n="2")
    assert picture(second).size == (600, 400)
    assert first["mask"] > 0
    spent = second.json()["cyclorama"]["seconds"]
    assert not spent.keys() & {"photo", "mask", "edges", "vae_encode"}
    assert sum(spent.values()) < time.perf_counter() - looked


def test_a_stroke_after_a_painting_costs_no_look(
    service: Service, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = (PHOTOS / "drum.jpg").read_bytes()
    assert picture(edit(server, image=photo))
    looks: list[Image.Image] = []
    confidence = OnnxMask.confidence

    def counted(self: OnnxMask, image: Image.Image) -> np.ndarray[Any, Any]:
        looks.append(image)
        return confidence(self, image)

    monkeypatch.setattr(OnnxMask, "confidence", counted)
    size = load_photo(photo).size
    brush = np.zeros((size[1], size[0]), np.uint8)
    brush[:20, :20] = 255
    assert picture(edit(server, image=photo, files={"drop": png(brush)}))
    assert not looks


def test_a_fault_is_told_with_the_requests_id(
    server: Running, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service, "paint", broken)
    answer = edit(server)
    assert answer.headers["x-request-id"] in refused(answer, None, 500)
    monkeypatch.setattr(service, "check", broken)
    answer = edit(server)
    assert answer.headers["x-request-id"] in refused(answer, None, 500)


def test_jobs(server: Running) -> None:
    made = server.post("/v1/jobs", files={"image": CAT}, data={**QUICK, "partial_images": "1"})
    assert made.status_code == 400  # partial images go with a stream
    made = server.post("/v1/jobs", files={"image": CAT}, data=QUICK)
    assert made.status_code == 202, made.text
    job = made.json()
    assert made.headers["location"] == f"/v1/jobs/{job['id']}"
    with httpx.stream("GET", f"{server.address}/v1/jobs/{job['id']}/events", timeout=60) as stream:
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert events[-1]["status"] == "done"
    seen = [event["progress"] for event in events]
    assert seen == sorted(seen)
    body = server.get(f"/v1/jobs/{job['id']}").json()
    direct = edit(server).json()
    assert body["result"]["data"] == direct["data"]
    assert server.get("/v1/jobs/job_0").status_code == 404
    refused(server.post("/v1/jobs", files={"image": CAT}, data={**QUICK, "stream": "true"}), "stream")


def test_a_job_is_cancelled_within_a_step(server: Running) -> None:
    jobs = [
        server.post("/v1/jobs", files={"image": CAT}, data={**QUICK, "num_inference_steps": "100"}).json()
        for _ in range(2)
    ]
    address = f"/v1/jobs/{jobs[0]['id']}"
    while server.get(address).json()["progress"] < 0.02:
        time.sleep(0.01)
    assert server.get(f"/v1/jobs/{jobs[1]['id']}").json()["place"] == 0
    stopped = server.queue.stopped
    assert httpx.delete(f"{server.address}{address}").status_code == 200
    begin = time.monotonic()
    while server.queue.stopped == stopped:
        assert time.monotonic() - begin < 5
        time.sleep(0.005)
    body = server.get(address).json()
    assert (body["status"], body["result"]) == ("cancelled", None)
    assert body["progress"] < 0.9
    waiting = httpx.delete(f"{server.address}/v1/jobs/{jobs[1]['id']}").json()
    assert waiting["status"] in ("running", "cancelled")


def test_a_client_that_goes_away_cancels_its_job(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    stopped = server.queue.stopped
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.address}/v1/images/edits", files={"image": CAT},
            data={**QUICK, "num_inference_steps": "100", "n": "5"}, timeout=0.6,
        )  # fmt: skip
    begin = time.monotonic()
    while server.queue.running or server.queue.waiting:
        assert time.monotonic() - begin < 5  # it would take half a minute
        time.sleep(0.01)
    assert server.queue.stopped > stopped
    time.sleep(0.1)
    assert "Traceback" not in caplog.text


def test_every_address_answers_in_one_shape(server: Running) -> None:
    refused(server.get("/nowhere"), None, 404)
    answer = server.get("/v1/images/edits")
    refused(answer, None, 405)
    assert answer.headers["allow"] == "POST"
    answer = httpx.post(
        f"{server.address}/v1/images/edits", content=b"--x", headers={"content-type": "multipart/form-data"}
    )
    refused(answer, None)
    foreign = httpx.get(f"{server.address}/v1/models", headers={"origin": "https://elsewhere.example"})
    refused(foreign, None, 403)
    refused(httpx.get(f"{server.address}/v1/models", headers={"origin": "http://["}), None, 403)
    refused(server.post("/v1/images/edits?prompt=secret", files={"image": CAT}), None)
    strange = "multipart/form-data; boundary=b; charset=undefined"
    form = b'--b\r\ncontent-disposition: form-data; name="prompt"\r\n\r\nx\r\n--b--\r\n'
    refused(server.post(content=form, headers={"content-type": strange}), None)
    own = httpx.get(f"{server.address}/v1/models", headers={"origin": server.address})
    assert own.json()["data"][0]["id"] == "nano"


def test_too_many_fields_and_too_long_ones(server: Running) -> None:
    many = {f"f{i}": "x" for i in range(10_000)}
    refused(server.post(files={"image": CAT}, data=many), None)
    refused(server.post(files={"image": CAT}, data={"prompt": "x" * 300_000}), None)
    refused(server.post(files={"image": CAT}, data={"prompt": "a beach " * 5_000}), "prompt")


def test_tokens_share_nothing(service: Service) -> None:
    tokens = Tokens.read(["ann:aaaaaaaaaaaaaaaaaaaa", "# comment", "bob:bbbbbbbbbbbbbbbbbbbb"])
    with running(service, JobQueue(capacity=4, owners=2), tokens) as server:
        refused(server.get("/v1/models"), None, 401)
        ann, bob = ({"authorization": f"Bearer {letter * 20}"} for letter in "ab")
        refused(httpx.get(f"{server.address}/v1/models", headers={"authorization": "Bearer x"}), None, 401)
        refused(httpx.get(f"{server.address}/v1/models", headers={"authorization": f"Basic {'a' * 20}"}), None, 401)
        job = server.post("/v1/jobs", files={"image": CAT}, data=QUICK, headers=ann).json()
        address = f"{server.address}/v1/jobs/{job['id']}"
        assert httpx.get(address, headers=ann).status_code == 200
        refused(httpx.get(address, headers=bob), None, 404)
        assert server.get("/healthz").status_code == 200


def test_readiness_metrics_and_an_end(service: Service) -> None:
    queue = JobQueue()
    with running(service, queue) as server:
        assert server.get("/readyz").json() == {"status": "ready", "waiting": 0, "running": 0}
        edit(server)
        edit(server, n="x")
        text = server.get("/metrics").text
        assert "cyclorama_pictures_total 1.0" in text
        assert "# TYPE cyclorama_jobs_started_total counter\ncyclorama_jobs_started_total 1.0" in text
        assert f'cyclorama_build_info{{version="{version("cyclorama")}"}} 1.0' in text
        assert 'cyclorama_refusals_total{code="invalid_field"} 1.0' in text
        assert 'cyclorama_stage_seconds_count{stage="denoise"} 1.0' in text
        queue.close(1)
        refused(server.get("/readyz"), None, 503)
        answer = edit(server)
        refused(answer, None, 503)
        assert answer.headers["retry-after"] == "5"


def test_large_bodies_are_refused_before_they_are_read(service: Service) -> None:
    with running(service, JobQueue(), settings=Settings(most_bytes=100_000)) as server:
        assert "at most 100000 bytes" in refused(edit(server, image=b"x" * 200_000), None, 413)

        def chunks() -> Any:
            yield b'--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n'
            for _ in range(20):
                yield b"x" * 10_000

        answer = server.post(content=chunks(), headers={"content-type": "multipart/form-data; boundary=b"})
        refused(answer, None, 413)


def test_an_upload_that_the_disk_has_no_room_for(service: Service) -> None:
    """One of more than a megabyte waits in a temporary file."""
    large = b"x" * 3_000_000
    with running(service, JobQueue()) as server:
        with small_files(500_000):
            answer = edit(server, image=large)
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "no_room")
        assert "could not be kept" in answer.json()["error"]["message"]
        refused(edit(server, image=large), "image")


def test_a_slow_upload_ends(service: Service) -> None:
    with running(service, JobQueue(), settings=Settings(upload_seconds=0.3)) as server:

        def chunks() -> Any:
            yield b'--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n'
            for _ in range(20):
                yield b"x"
                time.sleep(0.1)

        answer = server.post(content=chunks(), headers={"content-type": "multipart/form-data; boundary=b"})
        refused(answer, None, 408)


def test_a_deadline_points_to_jobs(service: Service) -> None:
    with running(service, JobQueue(), settings=Settings(deadline=0.2)) as server:
        answer = edit(server, num_inference_steps="100")
        assert "/v1/jobs" in refused(answer, None, 503)
        assert answer.headers["x-should-retry"] == "false"


def test_neither_prompts_nor_tokens_are_logged(
    server: Running, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    import logging

    with caplog.at_level(logging.ERROR, "cyclorama"):
        edit(server, prompt="zanzibar")
        edit(server, prompt="zanzibar", n="x")
    out = capfd.readouterr()
    assert "zanzibar" not in caplog.text + out.out + out.err


def test_many_at_once_are_each_answered(service: Service) -> None:
    queue = JobQueue(capacity=4)
    with running(service, queue) as server:
        answers: list[httpx.Response] = []
        health: list[float] = []

        def ask() -> None:
            answers.append(edit(server))

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            begin = time.perf_counter()
            assert server.get("/healthz").status_code == 200
            health.append(time.perf_counter() - begin)
            time.sleep(0.02)
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 429}
        full = [answer for answer in answers if answer.status_code == 429]
        assert all(1 <= int(answer.headers["retry-after"]) <= 120 for answer in full)
        assert len({answer.json()["data"][0]["b64_json"] for answer in answers if answer.status_code == 200}) == 1


def test_the_table_has_every_option_of_the_engine() -> None:
    """And shows limits, types and what each does."""
    from cyclorama.engine.options import GenerationOptions
    from cyclorama.serving.documents import edits

    assert {
        "seed",
        "num_inference_steps",
        "box",
        "canvas",
        "shadow",
        "working_size",
        "backdrop",
        "preset",
    } <= EDIT.keys()
    assert set(GenerationOptions.__dataclass_fields__) <= EDIT.keys()
    schema = edits()["openapi_extra"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    steps = schema["properties"]["num_inference_steps"]
    assert (steps["type"], steps["minimum"], steps["maximum"]) == ("integer", 1, 100)
    assert all(field["description"] for field in schema["properties"].values())
