"""The page's own addresses, and the API's beside them."""

from __future__ import annotations

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.conftest import PHOTOS
from tests.space.conftest import PageServer, opened


def upload(server: PageServer, visit: str = "", path: str = "photos", data: bytes | None = None) -> httpx.Response:
    content = (PHOTOS / "cat.jpg").read_bytes() if data is None else data
    return httpx.post(
        f"{server.address}/page/{path}", files={"file": content}, data={"called": "my cat.jpg"},
        headers={"x-visit": visit}, timeout=60,
    )  # fmt: skip


def test_a_photo_comes_in_and_goes_out(page_server: PageServer) -> None:
    sent = upload(page_server).json()
    again = upload(page_server, sent["visit"]).json()
    assert again == {"visit": sent["visit"], "photo": 2}
    base = f"{page_server.address}/page/{sent['visit']}"
    preview = httpx.get(f"{base}/photo-2.preview.jpg")
    assert opened(preview.content).size == (451, 300)
    assert "immutable" in preview.headers["cache-control"]
    assert preview.headers["x-content-type-options"] == "nosniff"
    assert httpx.get(f"{base}/photo-1.preview.jpg").status_code == 404
    mask = httpx.get(f"{base}/mask/2.png", timeout=60)
    assert opened(mask.content).mode == "L"
    assert mask.headers["content-disposition"] == "attachment; filename*=UTF-8''my%20cat-mask.png"
    backdrop = upload(page_server, sent["visit"], "backdrops", (PHOTOS / "flower.jpg").read_bytes()).json()
    assert backdrop == {"visit": sent["visit"], "backdrop": 1}


@pytest.mark.parametrize(
    "path",
    [
        "page/photos", "page/nobody/photo-1.preview.jpg", "page/{visit}/visit.json", "page/{visit}/photo-1",
        "page/{visit}/..%2fphoto-1.preview.jpg", "page/{visit}/download/result-1.png",
        "page/{visit}/download/photo-1.gif", "page/samples/secret.jpg", "page/aaaaaaaaaaaaaaaaaaaaaa/mask/1.png",
    ],
)  # fmt: skip
def test_what_is_not_there(page_server: PageServer, path: str) -> None:
    visit = upload(page_server).json()["visit"]
    answer = httpx.get(f"{page_server.address}/{path.format(visit=visit)}")
    assert answer.status_code in (400, 404, 405)
    assert len(answer.content) < 200


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "bad_image"), (b"no image at all", "bad_image"), (bytes(50_000_100), "too_large")]
)
def test_what_cannot_be_used(page_server: PageServer, data: bytes, code: str) -> None:
    answer = upload(page_server, data=data)
    assert answer.status_code in (400, 413)
    assert answer.json()["error"]["code"] == code


def test_the_api_keeps_its_answers(page_server: PageServer) -> None:
    for path, status in (("v1/nothing", 404), ("v1/images/edits", 405), ("v1", 404)):
        answer = httpx.get(f"{page_server.address}/{path}")
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == "invalid_request_error"
    assert httpx.get(f"{page_server.address}/v1/images/edits").headers["allow"] == "POST"
    assert httpx.post(f"{page_server.address}/healthz").status_code == 405
    assert httpx.get(f"{page_server.address}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{page_server.address}/v1/models").json()["data"][0]["id"] == "nano"
    assert "text/html" in httpx.get(f"{page_server.address}/").headers["content-type"]


def test_other_sites_may_not_use_the_page(page_server: PageServer) -> None:
    answer = httpx.post(
        f"{page_server.address}/page/photos", files={"file": b"x"}, headers={"origin": "https://other.example"}
    )
    assert answer.status_code == 403
    stream = page_server.address.replace("http", "ws") + "/_stcore/stream"
    with pytest.raises(InvalidStatus):
        connect(stream, origin=Origin("https://other.example"))
    with connect(stream, origin=Origin(page_server.address)):
        pass
