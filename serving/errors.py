"""Errors as OpenAI's clients read them: one shape on every path."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from cyclorama.engine.errors import BadImage, Cancelled, CycloramaError, InvalidOptions
from cyclorama.serving.jobs import DeadlineExceeded, Draining, QueueFull

STATUSES = {
    400: "What was asked for cannot be done; `param` names the field.",
    401: "No token, or an unknown one.",
    403: "A web page of another site asked.",
    404: "There is nothing at this address.",
    405: "This address takes other methods.",
    408: "The request took too long to arrive.",
    413: "The request is larger than this server takes.",
    415: "The body is neither a form nor JSON.",
    429: "The queue is full; `Retry-After` says when a place is free.",
    500: "Something failed here.",
    503: "Shutting down, or the work would not be done in time.",
}
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {
    401: "invalid_api_key", 403: "cross_origin", 404: "not_found", 405: "method_not_allowed", 408: "timeout",
    413: "too_large", 415: "unsupported_media_type", 500: "internal_error",
}  # fmt: skip
_DRAINED = 5  # seconds after which another server may be there


def shape(message: str, status: int, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code or _CODES.get(status)}}


def refusal(message: str, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that is an error, by its status alone."""
    return JSONResponse(shape(message, status), status, headers)


LATER = "try again later, or tell whoever runs this"


class NoRoom(CycloramaError):
    """The disk has no room for what came or was made, or it is larger than all that may be kept."""

    code = "no_room"


def described(error: BaseException, request_id: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers for an error of ours, or for a fault."""
    headers: dict[str, str] = {}
    if not isinstance(error, CycloramaError):
        return 500, shape(f"something failed here; the server's log has more on {request_id}", 500), headers
    status = 500
    if isinstance(error, QueueFull):
        status, headers = 429, {"retry-after": str(error.retry_after)}
    elif isinstance(error, Draining):
        status, headers = 503, {"retry-after": str(_DRAINED)}
    elif isinstance(error, DeadlineExceeded):
        status, headers = 503, {"x-should-retry": "false"}
    elif isinstance(error, NoRoom):
        status = 507
    elif isinstance(error, InvalidOptions | BadImage | Cancelled):
        status = 400
    return status, shape(str(error), status, error.option, error.code), headers


def failed(error: BaseException, request_id: str) -> JSONResponse:
    """An answer that is an error."""
    status, body, headers = described(error, request_id)
    return JSONResponse(body, status, headers)
