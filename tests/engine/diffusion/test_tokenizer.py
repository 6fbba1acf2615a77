"""Our tokenizer beside transformers' CLIPTokenizer."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from cyclorama.engine.diffusion.tokenizer import ClipTokenizer
from cyclorama.engine.errors import BadModel
from tests.conftest import NANO_CHECKPOINT

FOLDER = NANO_CHECKPOINT / "tokenizer"

WRITTEN = [
    "", " ", "a", "A Sandy BEACH at sunset!!!", "don't, can't; we'll they've I'm he'd it's",
    "  leading and   inner\tspaces\n and\r\nlines ", "3 apples, 42 pears, 1,000.50 plums", "e=mc^2 (a*b) [x] {y} <z>",
    "naïve café, Ångström, Zürich, façade", "cafe\u0301 decomposed", "北京的秋天", "東京 at night", "夏の海 tokyo",
    "서울의 밤",
    "Москва зимой", "شاطئ رملي", "हिमालय", "ก่อนพระอาทิตย์ตก", "😀 beach 🏖️ sunset 🌅", "👩‍🚀 in space", "™ © ® ½ ² № Ⅷ",
    "non\u00a0breaking\u2003em\u200bzero\u2028line", "ctrl\x00\x07\x0b\x1c\x7fchars", "\ufeffbyte order mark \ufffd",
    "<|startoftext|> inside <|endoftext|> it", "<|ENDOFTEXT|>", "İstanbul ΣΊΣΥΦΟΣ ẞ", "under_score-hyphen/slash\\back",
    "a.b.c...d", "!?!?!?", "''s 's'S 'RE", "🏳️‍🌈", "ﬁne ﬂower", "x" * 200, "\u0130\u0131\u017f",
    "o'clock ’quoted’ “words”",
]  # fmt: skip


def strings() -> list[str]:
    rng = random.Random(0)
    words = ["sandy", "Beach", "sunset,", "bokeh", "grey-blue", "4k", "it's", "öl", "夜", "🌲", "(soft:1.2)", "\t", "…"]
    mixed = [" ".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(200)]
    noise = ["".join(rng.choices(string.printable + "äßñ漢字ΩЖ", k=rng.randint(1, 30))) for _ in range(200)]
    return [*WRITTEN, *mixed, *noise]


def test_equals_clip_tokenizer_on_varied_strings() -> None:
    ours, theirs = ClipTokenizer(FOLDER), CLIPTokenizer.from_pretrained(FOLDER)
    different = {text: (ours.encode(text), theirs(text)["input_ids"]) for text in strings()}
    assert {text: pair for text, pair in different.items() if pair[0] != pair[1]} == {}


def test_pads_and_cuts_as_clip_tokenizer_does(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = ClipTokenizer(FOLDER), CLIPTokenizer.from_pretrained(FOLDER)
    for text in strings():
        expected = theirs(text, padding="max_length", truncation=True, max_length=32)["input_ids"]
        assert ours(text).tolist() == [expected], text


def test_says_what_it_cuts() -> None:
    tokenizer = ClipTokenizer(FOLDER)
    assert tokenizer.lost("a sandy beach at sunset") is None
    lost = tokenizer.lost("a sandy beach at sunset " * 6 + "with lavender")
    assert lost is not None
    assert "tokens and the model reads 30" in lost
    assert "lavender" in lost


def test_words_that_are_no_token_are_named_once_in_order() -> None:
    tokenizer = ClipTokenizer(FOLDER)
    assert tokenizer.broken_words("A dragon, a Kraken and a dragon at the beach") == ["dragon", "kraken"]
    assert tokenizer.broken_words("a sandy beach at sunset, 4k") == []
    assert tokenizer.broken_words("海辺") == ["海", "辺"]


def test_reads_another_pad_token(tmp_path: Path) -> None:
    """SD2's tokenizers pad with an exclamation mark."""
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / file).write_bytes((FOLDER / file).read_bytes())
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": "!"}')
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 12}')
    ids = ClipTokenizer(tmp_path)("beach")
    assert ids.shape == (1, 12)
    assert ids[0, -1] == 0


def test_damaged_folder_is_a_bad_model(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="tokenizer"):
        ClipTokenizer(tmp_path)
