"""Several requests at once: every picture is the one that is painted alone, on both backends."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama import BackgroundGenerator, Scene, cut_out, load_photo
from cyclorama.engine.backends import OPENVINO_FILE, ov
from cyclorama.engine.diffusion.networks import TextEncoder
from cyclorama.engine.matting.networks import mask_network
from cyclorama.engine.notes import collected_notes, note
from cyclorama.models.catalogue import embedded
from tests.conftest import PHOTOS

THREADS = 4
PROMPTS = ("a sandy beach at sunset", "green leaves", "brick wall", "city lights at night")


def small(name: str, side: int) -> np.ndarray:
    with Image.open(PHOTOS / f"{name}.jpg") as image:
        image.thumbnail((side, side))
        return np.asarray(image)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_every_picture_is_the_one_painted_alone(backend: Any, request: pytest.FixtureRequest) -> None:
    """Two generators, three working sizes, shared scenes, cancels, masks and previews, shuffled over four threads."""
    folder = request.getfixturevalue(f"nano_{backend}")
    generators = [BackgroundGenerator.load(folder, backend=backend) for _ in range(2)]
    photos = [small(name, side) for name, side in (("cat", 200), ("bowl", 320), ("astronaut", 160))]
    masks = [cut_out(photo).alpha for photo in photos]

    def scene(which: int, generator: BackgroundGenerator) -> Scene:
        return generator.prepare(photos[which], mask=masks[which], size=(128, 192, 256)[which])

    shared = [[scene(which, generator) for which in range(3)] for generator in generators]

    def painted(job: int) -> bytes:
        generator, which = generators[job % 2], job % 3
        at = shared[job % 2][which] if job % 5 else scene(which, generator)
        options: dict[str, Any] = {
            "seed": job,
            "num_inference_steps": 3 + job % 2,
            "strength": (1.0, 0.7)[job % 7 == 0],
        }
        if job % 4 == 1:  # begun and left
            for _ in zip(range(2), generator.steps(at, PROMPTS[job % 4], **options), strict=False):
                pass
            return b""
        if job % 4 == 2:
            return cut_out(photos[which]).alpha.tobytes()
        last = None
        for step in generator.steps(at, PROMPTS[job % 4], **options):
            last = step
            if job % 6 == 3:
                step.preview()
        assert last is not None
        return last.result().image.tobytes()

    jobs = list(range(12))
    alone = {job: painted(job) for job in jobs}
    shuffled = np.random.default_rng(0).permutation(jobs + jobs[:6]).tolist()
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(painted, shuffled))
    assert [job for job, result in zip(shuffled, together, strict=True) if result != alone[job]] == []


def test_a_scene_is_encoded_once_whoever_asks_first() -> None:
    generator = BackgroundGenerator.load("nano", backend="onnx")
    scene = generator.prepare(small("cat", 128))
    encoded: list[int] = []
    encode = generator.vae.encode

    def counted(image: np.ndarray) -> np.ndarray:
        encoded.append(1)
        return encode(image)

    generator.vae.encode = counted  # type: ignore[method-assign]
    with ThreadPoolExecutor(THREADS) as pool:
        latents = list(pool.map(lambda _: scene.image_latents(generator.vae), range(16)))
    assert len(encoded) == 1
    assert all(each is latents[0] for each in latents)


def test_released_and_dropped_while_others_run() -> None:
    session = ov.OpenVINOSession(embedded("nano") / "vae_decoder" / "model.onnx", 1, True, "whole")
    feeds = [{"latent_sample": np.full((1, 4, side, side), 0.1, np.float32)} for side in (16, 24, 32)]
    expected = [next(iter(session.run(feed).values())) for feed in feeds]
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            session.release()
            session.drop()

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            results = list(pool.map(lambda i: next(iter(session.run(feeds[i % 3]).values())), range(30)))
    finally:
        stop.set()
        disturber.join()
    for i, result in enumerate(results):
        np.testing.assert_array_equal(np.asarray(result), np.asarray(expected[i % 3]))


def test_what_a_run_returned_is_not_written_over_by_the_next() -> None:
    session = ov.OpenVINOSession(embedded("nano") / "vae_decoder" / "model.onnx", 1, True, "whole")
    first = next(iter(session.run({"latent_sample": np.zeros((1, 4, 16, 16), np.float32)}).values()))
    before = np.array(first)
    session.run({"latent_sample": np.ones((1, 4, 16, 16), np.float32)})
    np.testing.assert_array_equal(np.asarray(first), before)


def test_shapes_that_are_held_stay_compiled_and_others_go() -> None:
    session = ov.OpenVINOSession(embedded("nano") / "vae_decoder" / "model.onnx", 1, True, "whole")

    def shapes(side: int) -> dict[str, tuple[int, ...]]:
        return {"latent_sample": (1, 4, side, side)}

    held = session.compile(shapes(16))
    session.compile(shapes(24))
    assert session.compile(shapes(16)) is held
    gone = weakref.ref(session.compile(shapes(24)))
    session.compile(shapes(16))
    assert gone() is None
    assert ov._UNREACHABLE == []


def test_a_generator_is_freed_with_its_last_reference() -> None:
    """Without waiting for the garbage collector: an SD1.5 takes two gigabytes."""
    gc.collect()
    gc.disable()
    try:
        generator = BackgroundGenerator.load("nano", backend="onnx")
        generator.generate(generator.prepare(small("cat", 128)), "a beach", num_inference_steps=1)
        encoder: weakref.ref[TextEncoder] = weakref.ref(generator._loaded.text_encoder)
        del generator
        assert encoder() is None
    finally:
        gc.enable()


def test_notes_belong_to_who_caused_them(caplog: pytest.LogCaptureFixture) -> None:
    ready = threading.Barrier(THREADS)

    def listen(number: int) -> list[str]:
        with collected_notes() as notes:
            ready.wait()
            for _ in range(20):
                note(f"of {number}")
            ready.wait()
        return notes

    with ThreadPoolExecutor(THREADS) as pool:
        heard = list(pool.map(listen, range(THREADS)))
    assert heard == [[f"of {number}"] * 20 for number in range(THREADS)]
    assert len(caplog.records) == 20 * THREADS


def test_a_picture_tells_its_own_notes() -> None:
    generator = BackgroundGenerator.load("nano", backend="onnx")
    scene = generator.prepare(small("cat", 128))
    prompts = {"a beach": False, "a dragon": True, "a beach with a kraken": True}

    def paint(prompt: str) -> tuple[str, ...]:
        return generator.generate(scene, prompt, num_inference_steps=1).notes

    with ThreadPoolExecutor(THREADS) as pool:
        for prompt, notes in zip(prompts, pool.map(paint, prompts), strict=True):
            assert bool(notes) == prompts[prompt]
            assert all(any(word in said for word in ("dragon", "kraken")) for said in notes)
    # And again, though the prompt is known by then.
    assert paint("a dragon") != ()


def test_mask_networks_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from cyclorama.engine.matting import networks as mask_networks

    made: list[int] = []

    class Network(mask_networks.OnnxMask):
        def __init__(self, *how: Any) -> None:
            made.append(1)
            super().__init__(*how)

    monkeypatch.setattr(mask_networks, "OnnxMask", Network)
    mask_networks._embedded.cache_clear()
    with ThreadPoolExecutor(THREADS) as pool:
        networks = list(pool.map(lambda _: mask_network("u2netp"), range(8)))
    mask_networks._embedded.cache_clear()
    assert len(made) == 1
    assert all(network is networks[0] for network in networks)


def test_the_limit_on_pixels_holds_in_every_thread(tmp_path: Any) -> None:
    """Pillow's own is a warning, and what turns warnings into errors is the whole process's."""
    import io
    import warnings

    data = io.BytesIO()
    Image.new("1", (12_000, 9_000)).save(data, "PNG")

    def refused(_: int) -> bool:
        try:
            load_photo(data.getvalue())
        except Exception as error:
            return "more than 89 million pixels" in str(error)
        return False

    def silence(_: int) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return refused(0)

    work: list[Callable[[int], bool]] = [refused, silence] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ThreadPoolExecutor(THREADS) as pool:
            assert all(pool.map(lambda each: each(0), work))


def test_weights_given_back_while_others_unmap(nano_openvino: Any) -> None:
    """Two UNets of one file compiled and let go in turn by four threads give what one gives alone."""
    path = nano_openvino / "unet" / OPENVINO_FILE
    feeds = {
        "sample": np.full((1, 9, 16, 16), 0.1, np.float32),
        "timestep": np.array(10.0, np.float32),
        "encoder_hidden_states": np.full((1, 32, 128), 0.1, np.float32),
    }

    def computed(side: int) -> np.ndarray:
        session = ov.OpenVINOSession(path, 1, True, "whole")
        sample = np.full((1, 9, side, side), 0.1, np.float32)
        return np.asarray(session.run({**feeds, "sample": sample})["out_sample"])

    expected = {side: computed(side) for side in (16, 24)}
    with ThreadPoolExecutor(THREADS) as pool:
        for side, result in zip([16, 24] * 6, pool.map(computed, [16, 24] * 6), strict=True):
            np.testing.assert_array_equal(result, expected[side])
