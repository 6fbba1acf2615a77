"""Visits: kept within a bound and for a time, found by nobody else."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cyclorama import BadImage, load_photo
from cyclorama.serving.errors import NoRoom
from cyclorama.serving.service import Answer
from cyclorama.space.visits import MOST_RESULTS, Visit, Visits
from tests.conftest import PHOTOS, small_files

CAT = (PHOTOS / "cat.jpg").read_bytes()


def brought(visits: Visits, visit: Visit | None = None) -> Visit:
    return visits.bring(visit, CAT, load_photo(CAT), "cat.jpg")


def answer(count: int = 1) -> Answer:
    with BytesIO() as file:
        Image.new("RGB", (64, 48), "teal").save(file, "png")
        data = file.getvalue()
    facts = {"seed": 5, "model": "nano", "notes": []} | ({"seeds": list(range(5, 5 + count))} if count > 1 else {})
    return Answer([data] * count, facts, {}, "64x48")


def test_a_visit_is_found_again_by_another_process(tmp_path: Path) -> None:
    visits = Visits(tmp_path / "visits")
    visit = brought(visits)
    visits.change(visit, lambda one: replace(one, wish={"prompt": "a beach"}, strokes=({"kind": "box", "box": None},)))
    visits.add(visit, answer(2), {"prompt": "a beach"})
    found = Visits(tmp_path / "visits").find(visit.id)
    assert found is not None
    assert (found.size, found.called, found.wish, found.photo) == ((451, 300), "cat.jpg", {"prompt": "a beach"}, 1)
    assert [one.name for one in found.results] == ["result-1", "result-2"]
    assert [one.facts["seed"] for one in found.results] == [5, 6]
    assert visits.photo(found) == CAT
    folder = tmp_path / "visits" / visit.id
    assert folder.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())


def test_only_its_id_finds_a_visit(tmp_path: Path) -> None:
    visits = Visits(tmp_path / "visits")
    first, second = brought(visits), brought(visits)
    assert first.id != second.id
    for wrong in ("", "..", "../..", f"../visits/{first.id}", first.id[:-1], first.id + "/", first.id + "\n", "a" * 22):
        assert visits.find(wrong) is None
    for name in ("visit.json", "photo-1", f"../{second.id}/photo-1.preview.jpg", "mask-0123456789abcdef.json", ""):
        assert visits.file(first, name) is None
    assert visits.file(first, "photo-1.preview.jpg") is not None


def test_another_photo_takes_the_place_of_the_first(tmp_path: Path) -> None:
    visits = Visits(tmp_path)
    visit = brought(visits)
    visits.add(visit, answer(), {})
    visits.change(visit, lambda one: replace(one, strokes=({"kind": "box", "box": [1, 2, 3, 4]},)))
    again = brought(visits, visit)
    assert (again.id, again.photo, again.strokes, len(again.results)) == (visit.id, 2, (), 1)
    assert sorted(file.name for file in (tmp_path / visit.id).glob("photo*")) == ["photo-2", "photo-2.preview.jpg"]
    with pytest.raises(BadImage, match="no longer"):
        visits.photo(visit)


def test_time_and_room_are_bounded(tmp_path: Path) -> None:
    visits = Visits(tmp_path, most_bytes=12 * len(CAT), seconds=100)
    old, kept = brought(visits), brought(visits)
    os.utime(tmp_path / old.id, (time.time() - 101,) * 2)
    visits.sweep()
    assert visits.find(old.id) is None
    assert not (tmp_path / old.id).exists()
    assert visits.find(kept.id)
    for _ in range(12):
        brought(visits)
        assert visits.nbytes <= 12 * len(CAT)
    with pytest.raises(NoRoom, match="there is room for"):
        visits.bring(None, bytes(7 * len(CAT)), load_photo(CAT), "")


def test_the_last_results_are_kept(tmp_path: Path) -> None:
    visits = Visits(tmp_path)
    visit = brought(visits)
    for _ in range(MOST_RESULTS // 4 + 2):
        visits.add(visit, answer(4), {})
    found = visits.find(visit.id)
    assert found is not None
    assert len(found.results) == MOST_RESULTS
    assert len(list((tmp_path / visit.id).glob("result-*.png"))) == MOST_RESULTS
    assert found.results[-1].name == f"result-{MOST_RESULTS + 8}"
    visits.forget(visit)
    visits.add(visit, answer(), {})  # done after its visitor has gone: kept nowhere
    assert list(tmp_path.iterdir()) == []


def test_changes_of_several_threads_are_all_kept(tmp_path: Path) -> None:
    visits = Visits(tmp_path)
    visit = brought(visits)

    def work(name: str) -> None:
        for number in range(20):
            new = {f"{name}{number}": 1}
            visits.change(visit, lambda one, new=new: replace(one, wish=one.wish | new))  # type: ignore[misc]

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = visits.find(visit.id)
    assert found is not None
    assert len(found.wish) == 80


@pytest.mark.parametrize("text", ["", "{", "[]", '{"photo": 1}', json.dumps({"results": [], "strokes": [], "more": 1})])
def test_a_damaged_visit_is_none(tmp_path: Path, text: str) -> None:
    visits = Visits(tmp_path)
    visit = brought(visits)
    (tmp_path / visit.id / "visit.json").write_text(text)
    assert visits.find(visit.id) is None
    assert brought(visits, visit).id != visit.id


def test_a_full_disk_loses_nothing_that_was_there(tmp_path: Path) -> None:
    visits = Visits(tmp_path)
    visit = visits.bring_backdrop(brought(visits), CAT, load_photo(CAT))
    assert visit is not None
    with small_files(8192):
        with pytest.raises(NoRoom, match="could not be kept"):
            brought(visits, visit)
        with pytest.raises(NoRoom, match="could not be kept"):
            visits.bring_backdrop(visit, CAT, load_photo(CAT))
    found = visits.find(visit.id)
    assert found == visit
    assert visits.photo(found) == visits.backdrop(found) == CAT
    assert not list(tmp_path.rglob("*.part"))


def test_a_clock_set_back_keeps_no_visit_for_longer(tmp_path: Path) -> None:
    visits = Visits(tmp_path, seconds=3600)
    visit = brought(visits)
    os.utime(tmp_path / visit.id, times=(time.time() + 86400,) * 2)  # as it was left before the clock was set back
    visits.sweep()
    assert (tmp_path / visit.id).stat().st_mtime <= time.time() + 1
    assert visits.find(visit.id) is not None
