"""Bytes that no client sends: every connection gets an answer in the API's shape or is closed, and the server lives."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.conftest import PHOTOS
from tests.serving.conftest import Running

CAT = (PHOTOS / "cat.jpg").read_bytes()


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    about = f'; filename="{filename}"' if filename is not None else ""
    return b"--b\r\n" + f'content-disposition: form-data; name="{name}"{about}\r\n\r\n'.encode() + value + b"\r\n"


FORM = part("prompt", b"a beach") + part("num_inference_steps", b"2") + part("image", CAT, "x") + b"--b--\r\n"


def talk(server: Running, request: bytes, timeout: float = 20, *, then: bytes = b"") -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        connection.sendall(request)
        if then:
            time.sleep(0.05)
            connection.sendall(then)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
            head, _, body = received.partition(b"\r\n\r\n")
            lengths = [
                line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
            ]
            if lengths and len(body) >= int(lengths[0]):
                break
        return received


def head(
    length: int | str, version: str = "1.1", kind: str = "multipart/form-data; boundary=b", more: str = ""
) -> bytes:
    about = f"host: x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}\r\n"
    return f"POST /v1/images/edits HTTP/{version}\r\n{about}".encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def error(answer: bytes) -> dict[str, object]:
    body: dict[str, dict[str, object]] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return body["error"]


def test_http_1_0_and_two_writes(server: Running) -> None:
    assert status(talk(server, head(len(FORM), "1.0") + FORM)) == 200
    assert status(talk(server, head(len(FORM)) + FORM[:200], then=FORM[200:])) == 200


def test_chunks(server: Running) -> None:
    pieces = [FORM[i : i + 5000] for i in range(0, len(FORM), 5000)]
    chunked = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    request = head(0, more="transfer-encoding: chunked\r\n").replace(b"content-length: 0\r\n", b"")
    assert status(talk(server, request + chunked + b"0\r\n\r\n")) == 200


def test_a_length_of_gigabytes_is_refused_at_once(server: Running) -> None:
    begin = time.monotonic()
    answer = talk(server, head(5 * 1024**3) + FORM[:100])
    assert status(answer) == 413
    assert error(answer)["code"] == "too_large"
    assert time.monotonic() - begin < 2


@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")  # Starlette's file
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=other", FORM),
        ("multipart/form-data", FORM),
        ("multipart/form-data; boundary=b", FORM[:-6]),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", part("image", CAT) + b"--b--\r\n"),
        ("multipart/form-data; boundary=b", part("n" * 100_000, b"1") + b"--b--\r\n"),
        ("multipart/form-data; boundary=b", part("image", CAT, "x") + part("prompt", b"x", "file") + b"--b--\r\n"),
        ("application/json; charset=utf-16", b"\xff\xfe{\x00}\x00"),
        ("application/json", b'{"prompt": "\\ud800", "image": "data:;base64,"}'),
        ("application/x-www-form-urlencoded", b"prompt=a&image=x&%ff=%00"),
    ],
)
def test_bodies_that_cannot_be_read(server: Running, kind: str, body: bytes) -> None:
    answer = talk(server, head(len(body), kind=kind) + body)
    assert status(answer) == 400, answer
    assert error(answer)["type"] == "invalid_request_error"


def test_no_http_at_all(server: Running) -> None:
    for request in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET\r\n\r\n", head("-5"), head("9" * 5000)):
        answer = talk(server, request)
        assert not answer or status(answer) in (400, 413, 431)
    assert server.get("/healthz").status_code == 200


def test_connections_that_end_early(server: Running) -> None:
    """While the request is sent, while it waits, while it is painted."""
    for cut in (30, 300, len(FORM) // 2, len(FORM)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(head(len(FORM)) + FORM[:cut])
            if cut == len(FORM):
                time.sleep(0.1)
    end = time.monotonic() + 10
    while server.queue.running or server.queue.waiting:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert status(talk(server, head(len(FORM)) + FORM)) == 200
