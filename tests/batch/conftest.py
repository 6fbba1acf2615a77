"""What the tests of batches share."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from tests.conftest import PHOTOS


@pytest.fixture(autouse=True)
def _own_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers run `__main__` again, and a page that was tested in this process has left its script there."""
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten cut from the shipped ones, and two that are none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(["cat", "coffee", "astronaut", "bowl", "drum"] * 2):
        image = Image.open(PHOTOS / f"{name}.jpg")
        width, height = image.size
        image.crop((0, 0, width - number, height - number)).resize((240, 200)).save(folder / f"{number:02d}-{name}.png")
    (folder / "broken.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes()[:3000])
    (folder / "empty.png").touch()
    return folder


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """An empty bucket `shop`."""
    import fsspec
    import httpx
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("CYCLORAMA_HOME", str(tmp_path / "home"))
    for name, value in {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "mine", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    fsspec.filesystem("s3").clear_instance_cache()
    found = fsspec.filesystem("s3")
    found.mkdir("shop")
    yield found
    httpx.post(f"http://127.0.0.1:{port}/moto-api/reset")  # what it holds is the process's
    server.stop()


def stored(store: Any, folder: str) -> dict[str, str]:
    """Checksums of the pictures in a folder of a store, by name."""
    store.invalidate_cache()
    names = [name for name in store.find(folder) if "/." not in name and name.endswith(".png")]
    return {name.rpartition("/")[2]: hashlib.sha256(store.cat(name)).hexdigest() for name in names}
