"""What the OpenAPI description says of each route, and the tables of docs/api.md (`python -m` this module)."""

from __future__ import annotations

from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from cyclorama.serving.errors import STATUSES
from cyclorama.serving.requests import EDIT, MASK, Field, schema_of

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"
DESCRIPTION = (
    "A photo and a sentence in, the same photo on a new background out, its subject untouched. "
    "`/v1/images/edits` is OpenAI's API; a field that cannot be honoured is refused by name, never ignored."
)
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_IMAGES = {
    "type": "object",
    "required": ["created", "data", "usage", "cyclorama"],
    "properties": {
        "created": {"type": "integer"},
        "data": {
            "type": "array",
            "items": {"type": "object", "required": ["b64_json"], "properties": {"b64_json": {"type": "string"}}},
        },
        "background": {"type": "string"},
        "output_format": {"type": "string"},
        "quality": {"type": "string"},
        "size": {"type": "string"},
        "usage": {"type": "object"},
        "cyclorama": {"type": "object", "description": "seed, notes, seconds, preset; growth with best_of."},
    },
}
_JOB = {
    "type": "object",
    "required": ["id", "object", "status", "created_at", "place", "time_left", "progress", "result", "error"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "job"},
        "status": {"enum": ["queued", "running", "done", "failed", "cancelled"]},
        "created_at": {"type": "integer"},
        "place": {"type": ["integer", "null"], "description": "Jobs before it in line."},
        "time_left": {"type": ["number", "null"], "description": "Seconds, about."},
        "progress": {"type": "number", "minimum": 0, "maximum": 1},
        "preview": {"type": ["string", "null"], "description": "The last of partial_images, in base64."},
        "result": {"anyOf": [_IMAGES, {"type": "null"}]},
        "error": {"type": ["object", "null"]},
    },
}
_READING = (400, 408, 413, 415, 429, 500, 503)


def version() -> str:
    """Of the package."""
    return installed("cyclorama")


def edits() -> dict[str, Any]:
    """For POST /v1/images/edits."""
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    return _route({200: ("The pictures.", {**_json(_IMAGES), **events})}, _READING, EDIT)


def masks() -> dict[str, Any]:
    """For POST /v1/masks."""
    return _route({200: ("The mask.", _json(_IMAGES))}, _READING, MASK)


def new_job() -> dict[str, Any]:
    """For POST /v1/jobs."""
    table = {name: one for name, one in EDIT.items() if name != "stream"}
    return _route({202: ("The job.", _json(_JOB))}, _READING, table)


def job() -> dict[str, Any]:
    """For a job's own address."""
    return _route({200: ("The job.", _json(_JOB))}, (404,))


def job_events() -> dict[str, Any]:
    """For a job's events."""
    return _route({200: ("The job, after each change.", {"text/event-stream": {"schema": {"type": "string"}}})}, (404,))


def models() -> dict[str, Any]:
    """For GET /v1/models."""
    return _route({200: ("The models.", _json({"type": "object"}))}, ())


def health() -> dict[str, Any]:
    """For GET /healthz."""
    return _route({200: ("It answers.", _json({"type": "object"}))}, (), is_guarded=False)


def readiness() -> dict[str, Any]:
    """For GET /readyz."""
    return _route({200: ("Work is taken.", _json({"type": "object"}))}, (503,), is_guarded=False)


def metrics() -> dict[str, Any]:
    """For GET /metrics."""
    text = {"text/plain": {"schema": {"type": "string"}}}
    return _route({200: ("In Prometheus's text format.", text)}, (), is_guarded=False)


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _route(
    fine: dict[int, tuple[str, dict[str, Any]]],
    errors: tuple[int, ...],
    table: dict[str, Field] | None = None,
    is_guarded: bool = True,
) -> dict[str, Any]:
    responses: dict[int | str, Any] = {
        status: {"description": text, "content": content} for status, (text, content) in fine.items()
    }
    for status in sorted({*errors, 403, 405, *((401,) if is_guarded else ())}):
        responses[status] = {"description": STATUSES[status], "content": _json(_ERROR)}
    route: dict[str, Any] = {"responses": responses, "response_model": None}
    if table is not None:
        form = {"multipart/form-data": {"schema": schema_of(table)}}
        route["openapi_extra"] = {"requestBody": {"required": True, "content": form}}
    return route


def page() -> str:
    """docs/api.md with its tables."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("fields", _fields_table()), ("errors", _errors_table())):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}{table}{end}{rest.split(end)[1]}"
    return text


def _fields_table() -> str:
    rows = ["| field | | |", "|---|---|---|"]
    for one in EDIT.values():
        name = f"`{one.name}`" + (" (required)" if one.is_required else "")
        rows.append(f"| {name} | {_kind(one)} | {one.description} |")
    return "\n".join(rows) + "\n"


def _kind(one: Field) -> str:
    schema = one.schema
    if one.kind is None:
        return "file"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if one.is_list:
        return "numbers"
    kind = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false"}[schema["type"]]
    least, above = one.limits.get("ge"), one.limits.get("gt")
    limits = [f"from {least:g}"] if least is not None else [f"above {above:g}"] if above is not None else []
    limits += [f"to {one.limits['le']:g}"] if one.limits.get("le", 2**31) < 2**31 else []
    return " ".join([kind, *limits])


def _errors_table() -> str:
    rows = ["| status | |", "|---|---|"]
    return "\n".join([*rows, *(f"| {status} | {text} |" for status, text in STATUSES.items())]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
