"""A small service on the public API: photos and sentences in, pictures out, two at a time; any of them cancelled.

python docs/service.py cat.jpg "a sandy beach at sunset" "snowy mountains" -> out-0.jpg, out-1.jpg
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from cyclorama import BackgroundGenerator, CycloramaError, Limits, Progress

LIMITS = Limits(pixels=25_000_000, num_inference_steps=50, prompt_length=1000, count=4)


def paint(
    generator: BackgroundGenerator, photo: bytes, prompt: str, cancelled: Event, told: Callable[[Progress], None]
) -> bytes:
    """The picture as a JPEG of at most a megabyte. Raises CycloramaError."""
    scene = generator.prepare(photo)
    for progress in generator.paint(scene, prompt, cancelled=cancelled):
        told(progress)
        if progress.result is not None:
            return progress.result.encode("jpeg", max_bytes=1_000_000)
    raise AssertionError("the last step has a result")


def main(photo: str, *prompts: str) -> None:
    """Paints all prompts."""
    with BackgroundGenerator.load("nano", threads=2, limits=LIMITS) as generator, ThreadPoolExecutor(2) as pool:
        data = Path(photo).read_bytes()
        jobs = [pool.submit(paint, generator, data, prompt, Event(), lambda _: None) for prompt in prompts]
        for number, job in enumerate(jobs):
            try:
                Path(f"out-{number}.jpg").write_bytes(job.result())
            except CycloramaError as error:
                sys.stderr.write(f"{number}: {error.code} ({error.option}): {error}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
