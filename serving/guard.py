"""What every request passes before any work: an id, its token, its origin, its size."""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyclorama.engine.errors import InvalidOptions
from cyclorama.serving.errors import refusal

_logger = logging.getLogger("cyclorama.serving")

_LEAST_LETTERS = 16
_GUARDED = "/v1"


@dataclass(frozen=True)
class Tokens:
    """Who may ask: bearer tokens, by what their owners are called. Without any, everybody may and is one owner."""

    by_name: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, lines: Sequence[str]) -> Tokens:
        """Of a file's lines, TOKEN or NAME:TOKEN; empty ones and those with # are skipped. Raises InvalidOptions."""
        by_name: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            name, colon, token = text.rpartition(":")
            name = name if colon else f"token {number}"
            if len(token) < _LEAST_LETTERS or not token.isascii() or " " in token:
                raise InvalidOptions(
                    f"the token in line {number} has under {_LEAST_LETTERS} letters, or spaces; "
                    f"try this: {secrets.token_urlsafe(24)}"
                )
            if name in by_name or token in by_name.values():
                raise InvalidOptions(f"the token in line {number}, or its name, is there already")
            by_name[name] = token
        return cls(by_name)

    def owner(self, authorization: str) -> str | None:
        """Whose token a header carries; None: nobody's. In time that does not depend on the tokens."""
        if not self.by_name:
            return "everybody"
        scheme, _, given = authorization.partition(" ")
        found = None
        for name, token in self.by_name.items():
            if hmac.compare_digest(token.encode(), given.strip().encode("utf-8", "replace")):
                found = name
        return found if scheme.lower() == "bearer" else None


class Guard:
    """ASGI middleware: requests that must not come in are answered here, in the API's own shape of errors.

    most_bytes: of a body.  hosts: names by which this server may be called; empty: any. Each request is logged: its id,
    method, path and status. A websocket passes by the same hosts and origins.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, most_bytes: int, hosts: frozenset[str] = frozenset()) -> None:
        self._app, self._tokens, self._most_bytes, self._hosts = app, tokens, most_bytes, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "websocket" and self._foreign(Headers(scope=scope)):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {}).update(request_id=request_id, owner="everybody")

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked = {"method": scope["method"], "path": _logged(scope["path"]), "status": message["status"]}
                told = " ".join(map(str, (request_id, *asked.values())))
                _logger.info(told, extra={"request_id": request_id, **asked})
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["x-content-type-options"] = "nosniff"
                headers.setdefault("cache-control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        await (refused or self._app)(scope, receive, send_with_id)

    def _foreign(self, headers: Headers) -> ASGIApp | None:
        host = headers.get("host", "")
        if self._hosts and _hostname(f"//{host}") not in self._hosts:
            return refusal("this server answers to localhost only", 403)
        origin = headers.get("origin")
        if origin and origin.partition("://")[2] != host:
            return refusal("a web page of another site may not use this server", 403)
        return None

    def _refused(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        foreign = self._foreign(headers)
        if foreign is not None:
            return foreign
        if str(scope["path"]).startswith(_GUARDED):
            owner = self._tokens.owner(headers.get("authorization", ""))
            if owner is None:
                return refusal("send `Authorization: Bearer TOKEN` with a token of this server", 401,
                               {"www-authenticate": "Bearer"})  # fmt: skip
            scope["state"]["owner"] = owner
            if scope["query_string"]:
                return refusal("fields go into the body, not into the address", 400)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._most_bytes:
            return refusal(
                f"a request has at most {self._most_bytes} bytes here, got {length[:20]}", 413, {"connection": "close"}
            )
        return None


def _logged(path: str) -> str:
    """A path without what only its visitor may know: the page's addresses have visits' ids in them."""
    return ascii("/page/..." if path.startswith("/page/") else path)


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def request_id(request: Request) -> str:
    """What the answer's `x-request-id` will say."""
    return str(getattr(request.state, "request_id", ""))
