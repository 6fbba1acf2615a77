"""What a request carries: a form or JSON, read within limits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from cyclorama.serving.errors import LATER, NoRoom
from cyclorama.serving.requests import Refused, from_json

_MOST_PARTS = 64  # fields and files of a form, each
_MOST_VALUES = 100_000  # of a JSON body, about
_MOST_TEXT = 256 * 1024  # bytes of a text field


async def read_parts(request: Request, most_bytes: int, seconds: float) -> list[tuple[str, Any]]:
    """Names and values of a form or a JSON body.

    most_bytes: that it may have.  seconds: in which it must have come. Raises Refused, NoRoom and HTTPException.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(seconds):
            if kind == "application/json":
                try:
                    body = await _body(request, most_bytes)
                    if sum(body.count(one) for one in (b",", b"[", b"{")) > _MOST_VALUES:
                        raise Refused("the body has too many values")
                    return await run_in_threadpool(lambda: from_json(json.loads(body)))
                except (ValueError, RecursionError):
                    raise Refused("the body is no JSON") from None
            if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
                raise HTTPException(415, "send multipart/form-data, or JSON with images as data: URLs")
            _limit_body(request, most_bytes)
            async with request.form(max_files=_MOST_PARTS, max_fields=_MOST_PARTS, max_part_size=_MOST_TEXT) as form:
                return [
                    (name, await value.read() if isinstance(value, UploadFile) else value)
                    for name, value in form.multi_items()
                ]
    except UnicodeError:
        raise Refused("the form's charset cannot be read; use UTF-8") from None
    except TimeoutError:
        raise HTTPException(
            408, f"the request did not arrive within {seconds:g} s",
            {"connection": "close", "x-should-retry": "false"},
        ) from None  # fmt: skip
    except OSError as error:  # a large file of a form waits in the folder of temporary ones
        raise NoRoom(f"the upload could not be kept ({error.strerror}); {LATER}") from None


async def _body(request: Request, most_bytes: int) -> bytes:
    _limit_body(request, most_bytes)
    return b"".join([chunk async for chunk in request.stream()])


def _limit_body(request: Request, most_bytes: int) -> None:
    """Counts what comes: a chunked body has no length that could be looked at before."""
    receive = request._receive
    total = 0

    async def counted() -> Any:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most_bytes:
            raise HTTPException(413, f"a request has at most {most_bytes} bytes here", {"connection": "close"})
        return message

    request._receive = counted
