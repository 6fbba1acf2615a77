"""The page's own addresses: photos come in and pictures go out here, so that Streamlit never holds them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from cyclorama import Background, BadImage, Cutout, CycloramaError, load_photo
from cyclorama.engine.files import encode_image
from cyclorama.engine.provenance import signer
from cyclorama.serving.bodies import read_parts
from cyclorama.serving.errors import described
from cyclorama.serving.guard import request_id
from cyclorama.serving.requests import LIMITS
from cyclorama.space.mask import subject_of
from cyclorama.space.visits import Visit

if TYPE_CHECKING:
    from cyclorama.space.mounting import Parts

MOST_BYTES = 50_000_000
"""Of a photo's file."""
SAMPLES = ("astronaut", "cat", "coffee", "drum")
_UPLOAD_SECONDS = 300.0
_SAMPLES = Path(__file__).with_name("samples")
_FOR_GOOD = {"cache-control": "private, max-age=86400, immutable"}  # a name never has another picture
_KINDS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def routes(parts: Parts) -> list[Route]:
    """For the API's application."""
    ours = _Addresses(parts)
    return [
        Route("/page/photos", _told(ours.photos), methods=["POST"]),
        Route("/page/backdrops", _told(ours.backdrops), methods=["POST"]),
        Route("/page/samples/{name}.jpg", ours.sample),
        Route("/page/{visit}/{name}", _told(ours.file)),
        Route("/page/{visit}/cutout/{photo}.png", _told(ours.cutout)),
        Route("/page/{visit}/mask/{photo}.png", _told(ours.mask)),
        Route("/page/{visit}/download/{name}.{kind}", _told(ours.download)),
    ]


def _told(address: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Errors of ours as JSON, with the code by which the page finds words for them."""

    async def answer(request: Request) -> Response:
        try:
            return await address(request)
        except CycloramaError as error:
            status, body, headers = described(error, request_id(request))
            return JSONResponse(body, status, headers)

    return answer


class _Addresses:
    """What is done at each address."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def photos(self, request: Request) -> Response:
        """A photo of the visit that `x-visit` names, or of a new one. Answers with the visit's id."""
        data, called = await _sent(request)

        def kept() -> Visit:
            with self._parts.masks:
                photo = load_photo(data, LIMITS.pixels)
                return self._parts.visits.bring(self._named(request), data, photo, called)

        visit = await run_in_threadpool(kept)
        return JSONResponse({"visit": visit.id, "photo": visit.photo})

    async def backdrops(self, request: Request) -> Response:
        """A picture to go behind the subject, of the visit that `x-visit` names."""
        data, _ = await _sent(request)
        visit = await run_in_threadpool(self._named, request)
        if visit is None:
            raise HTTPException(404, "there is no such visit")

        def kept() -> Visit | None:
            with self._parts.masks:
                return self._parts.visits.bring_backdrop(visit, data, load_photo(data, LIMITS.pixels))

        changed = await run_in_threadpool(kept)
        return JSONResponse({"visit": visit.id, "backdrop": changed.backdrop if changed else 0})

    async def sample(self, request: Request) -> Response:
        """A photo to try the page with."""
        name = request.path_params["name"]
        if name not in SAMPLES:
            raise HTTPException(404)
        return FileResponse(_SAMPLES / f"{name}.jpg", headers={"cache-control": "public, max-age=86400"})

    async def file(self, request: Request) -> Response:
        """One of the pictures that the page shows."""
        visit = await run_in_threadpool(self._found, request)
        path = await run_in_threadpool(self._parts.visits.file, visit, request.path_params["name"])
        if path is None:
            raise HTTPException(404, "there is no such picture")
        return FileResponse(path, headers=_FOR_GOOD)

    async def download(self, request: Request) -> Response:
        """A picture as PNG, JPEG or WebP, at full size."""
        visit = await run_in_threadpool(self._found, request)
        name, kind = request.path_params["name"], request.path_params["kind"]
        path = await run_in_threadpool(self._parts.visits.file, visit, f"{name}.png")
        result = next((one for one in visit.results if one.name == name), None)
        if path is None or result is None or kind not in _KINDS:
            raise HTTPException(404, "there is no such picture")
        stem = Path(result.called).stem or "photo"
        file_name = f"{stem}-{name.removeprefix('result-')}.{kind.replace('jpeg', 'jpg')}"
        if kind == "png":
            return FileResponse(path, filename=file_name, headers=_FOR_GOOD)
        data = await run_in_threadpool(self._converted, path, kind, result.facts.get("model"))
        return _attached(data, file_name, kind)

    async def cutout(self, request: Request) -> Response:
        """The subject on nothing, at full size."""
        visit = await run_in_threadpool(self._found, request)
        return _attached(await run_in_threadpool(self._cutout, visit), f"{Path(visit.called).stem}-cutout.png", "png")

    async def mask(self, request: Request) -> Response:
        """The subject's alpha, at full size: what `generate --mask` takes."""
        visit = await run_in_threadpool(self._found, request)
        return _attached(await run_in_threadpool(self._mask, visit), f"{Path(visit.called).stem}-mask.png", "png")

    def _converted(self, path: Path, kind: str, painted_by: str | None) -> bytes:
        # One at a time: a large picture takes ten times its file's size in memory.
        with self._parts.masks, Image.open(path) as image:
            about: dict[str, Any] = {
                "parameters": image.text.get("parameters"), "icc_profile": image.info.get("icc_profile"),  # type: ignore[attr-defined]
                "exif": image.info.get("exif"),
            }  # fmt: skip
            xmp = image.text.get("XML:com.adobe.xmp")  # type: ignore[attr-defined]
            about["xmp"] = xmp.encode() if xmp else None
            data, signs = encode_image(image, kind.upper(), **about), signer()
            return data if signs is None else signs.sign(data, kind, painted_by)

    def _cutout(self, visit: Visit) -> bytes:
        subject = subject_of(visit)
        with self._parts.masks:
            return self._subject(visit, subject).on(Background.transparent()).encode("png")

    def _mask(self, visit: Visit) -> bytes:
        subject = subject_of(visit)
        with self._parts.masks, BytesIO() as file:
            Image.fromarray(self._subject(visit, subject).photo_alpha).save(file, "png")
            return file.getvalue()

    def _subject(self, visit: Visit, subject: dict[str, Any]) -> Cutout:
        data = self._parts.visits.photo(visit)
        return self._parts.service.cutout(data, subject, visit.owner)

    def _named(self, request: Request) -> Visit | None:
        return self._parts.visits.find(request.headers.get("x-visit", ""))

    def _found(self, request: Request) -> Visit:
        visit = self._parts.visits.find(request.path_params["visit"])
        if visit is None:
            raise HTTPException(404, "there is no such visit")
        if request.path_params.get("photo", str(visit.photo)) != str(visit.photo):
            raise HTTPException(404, "this photo was replaced by another")
        return visit


async def _sent(request: Request) -> tuple[bytes, str]:
    """The file of a form's one part `file`, and its name."""
    given = dict(await read_parts(request, MOST_BYTES, _UPLOAD_SECONDS))
    data = given.get("file")
    if not isinstance(data, bytes) or not data:
        raise BadImage("an empty file came; choose another", option="image")
    return data, str(given.get("called", ""))


def _attached(data: bytes, name: str, kind: str) -> Response:
    return Response(data, media_type=_KINDS[kind], headers={"content-disposition": _disposition(name)})


def _disposition(name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(name)}"
