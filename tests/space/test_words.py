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
    families = ("behind-", "position-", "preset-", "sample-")
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


def test_the_page_names_no_outside_address() -> None:
    for file in (ROOT / "space").rglob("*.*"):
        if file.suffix in (".py", ".js", ".css"):
            assert not re.search("https?:", Path(file).read_text()), file
