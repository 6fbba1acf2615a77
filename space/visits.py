"""Visits: what a visitor brought and got, on disk, within a bound and for a time.

Streamlit keeps what is uploaded in memory, and forgets a session at a reload; this does neither. A visit is a folder,
which only its id finds, and the id cannot be guessed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from cyclorama import BadImage, Photo
from cyclorama.models.atomic import write_atomically
from cyclorama.serving.errors import LATER, NoRoom
from cyclorama.serving.service import Answer

MOST_RESULTS = 24
"""Pictures of one visit that are kept; the oldest go."""
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_PREVIEW_SIDE, _THUMBNAIL_SIDE = 2048, 320  # pixels of the longer side
_FILES = re.compile(
    r"(photo-\d+|backdrop-\d+|result-\d+)(\.preview|\.thumbnail)?\.(jpg|webp|png)|mask-[0-9a-f]{16}\.png"
)


@dataclass(frozen=True)
class Painted:
    """A picture that is kept. name: its file is NAME.png.  wish: what was asked for, by the fields' names.

    job: that painted it.  photo, called, strokes: of the visit as it was then.
    """

    name: str
    size: tuple[int, int]
    facts: dict[str, Any]
    wish: dict[str, Any]
    job: str = ""
    photo: int = 0
    called: str = ""
    strokes: tuple[dict[str, Any], ...] = ()

    def is_of(self, visit: Visit) -> bool:
        """Whether a visit's photo and mask are still those that it was painted with."""
        return (self.photo, self.strokes) == (visit.photo, visit.strokes)


@dataclass(frozen=True)
class Visit:
    """One visitor's photo and pictures, as they were when it was read.

    photo: number of the photo, which rises with each that replaces it; 0: none yet.  called: its file's name there.
    size: of the upright photo.  strokes: corrections of its mask, see `cyclorama.space.strokes`.  backdrop: number of
    the picture to go behind; 0: none.  wish: what was last asked for.  job: the last, until its end was seen.
    """

    id: str
    photo: int = 0
    called: str = ""
    size: tuple[int, int] = (0, 0)
    strokes: tuple[dict[str, Any], ...] = ()
    backdrop: int = 0
    wish: dict[str, Any] = field(default_factory=dict)
    job: str | None = None
    results: tuple[Painted, ...] = ()
    made: int = 0

    @property
    def owner(self) -> str:
        """As the queue and the kept cut-outs know this visit."""
        return f"visit {self.id}"


class Visits:
    """The visits there are. May be shared between threads; of one folder there is one owner process.

    folder: made if need be, for its owner's eyes only; None: a new one, gone with the process's temporary files.
    most_bytes: of all visits; the longest untouched goes first.  seconds: after which an untouched one goes.
    """

    def __init__(self, folder: Path | None = None, most_bytes: int = 2 * 1024**3, seconds: float = 3600) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cyclorama-visits-")) if folder is None else folder
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.seconds, self._most_bytes = seconds, most_bytes
        self._lock = threading.RLock()

    def find(self, visit_id: str) -> Visit | None:
        """The visit of that id, if it is still kept; it counts as touched."""
        if not _ID.fullmatch(visit_id):
            return None
        folder = self.folder / visit_id
        with self._lock:
            try:
                visit = _read(visit_id, (folder / "visit.json").read_text(encoding="utf-8"))
                if time.time() - folder.stat().st_mtime > self.seconds:
                    self._forget()
                    return None
                _touch(folder)
            except (OSError, ValueError, TypeError, KeyError):
                return None
        return visit

    def change(self, visit: Visit | str, change: Callable[[Visit], Visit]) -> Visit | None:
        """Reads, changes and writes a visit in one step; None: it is gone."""
        with self._lock:
            found = self.find(visit if isinstance(visit, str) else visit.id)
            if found is None:
                return None
            changed = change(found)
            if changed != found:
                self._write(changed)
            return changed

    def bring(self, visit: Visit | None, data: bytes, photo: Photo, called: str) -> Visit:
        """Keeps a photo, in place of the one before it; without a visit it begins one. Raises NoRoom."""
        preview = _reduced(photo, _PREVIEW_SIDE, "jpeg")
        self._make_room(len(data))
        with self._lock:
            found = self.find(visit.id) if visit is not None else None
            if found is None:
                found = Visit(secrets.token_urlsafe(16))
                (self.folder / found.id).mkdir(mode=0o700)
            changed = replace(found, photo=found.photo + 1, called=called[:200], size=photo.size, strokes=())
            self._put(changed, f"photo-{changed.photo}", data)
            self._put(changed, f"photo-{changed.photo}.preview.jpg", preview)
            self._write(changed)
            for old in (self.folder / found.id).glob(f"photo-{found.photo}*"):
                old.unlink(missing_ok=True)
            for old in (self.folder / found.id).glob("mask-*"):
                old.unlink(missing_ok=True)
        return changed

    def bring_backdrop(self, visit: Visit, data: bytes, picture: Photo) -> Visit | None:
        """Keeps a picture to go behind the subject, in place of the one before it. Raises NoRoom."""
        small = _reduced(picture, _THUMBNAIL_SIDE, "jpeg")
        self._make_room(len(data))
        with self._lock:
            found = self.find(visit.id)
            if found is None:
                return None
            number, before = found.backdrop + 1, list((self.folder / found.id).glob("backdrop-*"))
            self._put(found, f"backdrop-{number}", data)
            self._put(found, f"backdrop-{number}.thumbnail.jpg", small)
            changed = self.change(found, lambda one: replace(one, backdrop=number))
            for old in before:
                old.unlink(missing_ok=True)
        return changed

    def add(self, visit: Visit, answer: Answer, wish: dict[str, Any], job: str = "") -> None:
        """Keeps the pictures that came of an order; nothing where the visit is gone.

        visit: as it was when they were asked for.  job: that painted them.
        """
        kept = []
        for data in answer.pictures:
            with Image.open(BytesIO(data)) as image:
                image.load()
                kept.append((data, image.size, _small(image, _PREVIEW_SIDE), _small(image, _THUMBNAIL_SIDE)))
        self._make_room(sum(len(data) for data in answer.pictures))
        with self._lock:
            found = self.find(visit.id)
            if found is None:
                return
            new = []
            for number, (data, size, preview, thumbnail) in enumerate(kept, found.made + 1):
                name = f"result-{number}"
                self._put(found, f"{name}.png", data)
                self._put(found, f"{name}.preview.webp", preview)
                self._put(found, f"{name}.thumbnail.webp", thumbnail)
                seeds = answer.facts.get("seeds") or [answer.facts.get("seed")]
                own = {"seed": seeds[number - found.made - 1]} if seeds[0] is not None else {}
                facts = {key: value for key, value in answer.facts.items() if key != "seeds"} | own
                new.append(Painted(name, size, facts, wish | own, job, visit.photo, visit.called, visit.strokes))
            results = (*found.results, *new)
            for old in results[:-MOST_RESULTS]:
                for file in (self.folder / found.id).glob(f"{old.name}.*"):
                    file.unlink(missing_ok=True)
            self._write(replace(found, results=results[-MOST_RESULTS:], made=found.made + len(new)))

    def file(self, visit: Visit, name: str) -> Path | None:
        """Of a visit's pictures the one of that name, as far as it is shown to the visitor."""
        path = self.folder / visit.id / name
        return path if _FILES.fullmatch(name) and path.is_file() else None

    def photo(self, visit: Visit) -> bytes:
        """The photo's file as it came. Raises BadImage where it is gone."""
        return self._read_bytes(visit, f"photo-{visit.photo}")

    def backdrop(self, visit: Visit) -> bytes:
        """The picture to go behind. Raises BadImage where it is gone."""
        return self._read_bytes(visit, f"backdrop-{visit.backdrop}")

    def known(self, visit: Visit, key: str) -> dict[str, Any] | None:
        """What was kept of a mask under a key; its picture is mask-KEY.png."""
        try:
            facts: dict[str, Any] = json.loads((self.folder / visit.id / f"mask-{key}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return facts

    def keep_mask(self, visit: Visit, key: str, alpha: Image.Image | None, facts: dict[str, Any]) -> None:
        """Keeps how a mask looks, no larger than the photo's preview, and what is known of it; None: there is none."""
        folder = self.folder / visit.id
        with self._lock:
            if not folder.is_dir():
                return
            old = sorted(folder.glob("mask-*.json"), key=lambda one: one.stat().st_mtime)
            for one in old[: -MOST_RESULTS + 1]:
                one.with_suffix(".png").unlink(missing_ok=True)
                one.unlink(missing_ok=True)
            if alpha is not None:
                small = alpha.copy()
                small.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE), Image.Resampling.BOX)
                with BytesIO() as file:
                    small.save(file, "png", compress_level=1)
                    self._put(visit, f"mask-{key}.png", file.getvalue())
            self._put(visit, f"mask-{key}.json", json.dumps(facts).encode())

    def forget(self, visit: Visit) -> None:
        """Deletes a visit and all its pictures."""
        with self._lock:
            shutil.rmtree(self.folder / visit.id, ignore_errors=True)

    def sweep(self) -> None:
        """Deletes the visits whose time is over."""
        with self._lock:
            self._forget()

    @property
    def nbytes(self) -> int:
        """Of all that is kept."""
        return sum(file.stat().st_size for file in self.folder.glob("*/*") if file.is_file())

    def _read_bytes(self, visit: Visit, name: str) -> bytes:
        try:
            return (self.folder / visit.id / name).read_bytes()
        except OSError:
            raise BadImage("the picture is kept no longer; choose it again", option="image") from None

    def _put(self, visit: Visit, name: str, data: bytes) -> None:
        try:
            write_atomically(self.folder / visit.id / name, data, 0o600)
        except OSError as error:
            raise NoRoom(f"the picture could not be kept ({error.strerror}); {LATER}") from None

    def _write(self, visit: Visit) -> None:
        facts = asdict(visit)
        del facts["id"]
        self._put(visit, "visit.json", json.dumps(facts).encode())
        _touch(self.folder / visit.id)

    def _make_room(self, nbytes: int) -> None:
        if nbytes > self._most_bytes // 2:
            raise NoRoom(f"this has {nbytes} bytes, and there is room for {self._most_bytes // 2}; take a smaller one")
        with self._lock:
            self._forget(self._most_bytes - nbytes)

    def _forget(self, most_bytes: int | None = None) -> None:
        now, ages = time.time(), []
        for folder in self.folder.iterdir():
            try:
                age = now - folder.stat().st_mtime
                nbytes = sum(file.stat().st_size for file in folder.iterdir())
            except OSError:
                continue
            if age < 0:  # the clock was set back: what nobody asks for any more would stay until then
                _touch(folder)
            if age > self.seconds:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                ages.append((age, nbytes, folder))
        total = sum(nbytes for _, nbytes, _ in ages)
        for _, nbytes, folder in sorted(ages, reverse=True):
            if most_bytes is None or total <= most_bytes:
                break
            shutil.rmtree(folder, ignore_errors=True)
            total -= nbytes


def _read(visit_id: str, text: str) -> Visit:
    facts = json.loads(text)
    listed = facts.pop("results")
    results = tuple(Painted(**one | {name: tuple(one[name]) for name in ("size", "strokes")}) for one in listed)
    strokes, size = tuple(facts.pop("strokes")), tuple(facts.pop("size"))
    return Visit(visit_id, results=results, strokes=strokes, size=size, **facts)


def _touch(folder: Path) -> None:
    os.utime(folder)


def _reduced(photo: Photo, side: int, kind: str) -> bytes:
    image = Image.fromarray(photo.rgb)
    image.thumbnail((side, side), reducing_gap=2)
    with BytesIO() as file:
        image.save(file, kind, quality=88, **({"icc_profile": photo.icc_profile} if photo.icc_profile else {}))
        return file.getvalue()


def _small(image: Image.Image, side: int) -> bytes:
    small = image.copy()
    small.thumbnail((side, side), reducing_gap=2)
    with BytesIO() as file:
        profile = image.info.get("icc_profile")
        small.save(file, "webp", quality=85, method=2, **({"icc_profile": profile} if profile else {}))
        return file.getvalue()
