"""Two languages, one dictionary, and a widget for every field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cyclorama
from cyclorama import InvalidOptions
from cyclorama.serving.jobs import QueueFull
from cyclorama.serving.requests import EDIT
from cyclorama.space import controls, words
from cyclorama.space.words import Words
from tests.conftest import ROOT

PLACES = re.compile(r"\{[a-z]*\}")


def test_both_languages_say_the_same() -> None:
    for english, german in (*words._SAID.values(), *words._ERRORS.values()):
        assert english
        assert german
        assert sorted(PLACES.findall(english)) == sorted(PLACES.findall(german))


def test_every_text_is_used() -> None:
    source = "".join(
        file.read_text() for file in (ROOT / "space").rglob("*.*")
        if file.suffix in (".py", ".js") and file.name != "words.py"
    )  # fmt: skip
    families = ("behind-", "position-", "preset-", "sample-", "way-")
    for key in words._SAID:
        is_made = key.startswith(families) or key.endswith("-help")
        assert is_made or re.search(f"""["'`]{key}["'`]""", source), key


def test_every_field_of_a_request_is_on_the_page_or_said_not_to_be() -> None:
    shown = {*controls.IN_PLACE, *controls.ADVANCED}
    assert shown | set(controls.ELSEWHERE) == set(EDIT)
    assert not shown & set(controls.ELSEWHERE)
    for name in shown | {"canvas", "model"}:
        for locale in ("en", "de"):
            assert all(Words(locale).option(EDIT[name]))


@pytest.mark.parametrize(
    ("locale", "language"), [("en-GB", "en"), ("de-AT", "de"), ("DE", "de"), ("fr", "en"), (None, "en"), ("", "en")]
)
def test_languages(locale: str | None, language: str) -> None:
    assert Words(locale).language == language


def test_errors_have_words_or_their_own_line() -> None:
    german = Words("de")
    assert "Protokoll" in german.error(ValueError("secret"))
    assert german.error(InvalidOptions("the steps are too many")) == "the steps are too many"
    assert "7 s" in german.error(QueueFull(7, True))
    assert "kein Motiv" in german.error(cyclorama.NoSubject("none"))


def test_notes_of_the_engine_in_both_languages() -> None:
    """Every note that a photo or a place can bring is in the engine's source as the page's pattern expects it."""
    pattern = next(iter(words._NOTES))
    note = "the mask is doubtful (62% of such masks are wrong): look at it; a box around the subject helps"
    assert re.fullmatch(pattern, note)
    assert "(62% solcher" in Words("de").note(note)
    assert Words("en").note(note) == f"T{note[1:]}"
    unknown = "nano does not know Strand, Meer; it paints sand, snow"
    assert Words("de").note(unknown) == "nano versteht Englisch und kennt nicht: Strand, Meer. sand, snow"
    assert Words("de").note("something new") == "Something new"
    source = "".join(file.read_text() for file in (ROOT / "engine").rglob("*.py"))
    for pattern in words._NOTES:
        words_of_it = max(re.split(r"[^\w ',;]+", pattern), key=len).strip()
        assert words_of_it in source, words_of_it


def test_the_page_names_no_outside_address() -> None:
    for file in (ROOT / "space").rglob("*.*"):
        if file.suffix in (".py", ".js", ".css"):
            assert not re.search("https?:", Path(file).read_text()), file
