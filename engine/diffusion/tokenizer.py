"""CLIP's byte-pair tokenizer, on the `tokenizers` library.

Equal to transformers' `CLIPTokenizer` (without the optional ftfy), which the tests hold it to.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from cyclorama.engine.errors import BadModel

_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# The blocks whose characters CLIP's basic tokenizer takes for words of their own.
_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class ClipTokenizer:
    """Text to token ids, from a folder with `vocab.json` and `merges.txt`."""

    def __init__(self, folder: Path) -> None:
        vocab, merges = folder / "vocab.json", folder / "merges.txt"
        try:
            self._tokenizer = Tokenizer(
                models.BPE.from_file(str(vocab), str(merges), end_of_word_suffix="</w>", unk_token=_EOS)
            )
            ids: dict[str, int] = json.loads(vocab.read_text(encoding="utf-8"))
            config = _read_json(folder / "tokenizer_config.json")
            special = {**config, **_read_json(folder / "special_tokens_map.json")}
            self._bos, self._eos = ids[_BOS], ids[_EOS]
            self._pad = ids[_content(special.get("pad_token", _EOS))]
        except Exception as error:  # tokenizers raises bare Exception
            raise BadModel(f"the tokenizer in {folder} cannot be read ({error}); export the model again") from error
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        self._tokenizer.decoder = decoders.ByteLevel()
        self._tokenizer.add_special_tokens([_BOS, _EOS])
        self.model_max_length = min(int(config.get("model_max_length", 77)), 10_000)

    def encode(self, text: str) -> list[int]:
        """Token ids with start and end, of whatever length."""
        return [self._bos, *self._tokenizer.encode(_clean(text), add_special_tokens=False).ids, self._eos]

    def __call__(self, text: str, length: int | None = None) -> npt.NDArray[np.int64]:
        """Token ids, shape (1, length), padded; what does not fit is cut, see `lost`."""
        length = length or self.model_max_length
        ids = self.encode(text)
        if len(ids) > length:
            ids = [*ids[: length - 1], self._eos]
        return np.array([ids + [self._pad] * (length - len(ids))], np.int64)

    def lost(self, text: str, length: int | None = None) -> str | None:
        """The part of a text beyond a number of tokens, in a sentence; None where all of it fits."""
        length = length or self.model_max_length
        ids = self.encode(text)
        if len(ids) <= length:
            return None
        rest = self._tokenizer.decode(ids[length - 1 : -1]).replace("</w>", " ").strip()
        return (
            f"the prompt has {len(ids) - 2} tokens and the model reads {length - 2}; "
            f"what comes last was left out: {rest!r}"
        )

    def broken_words(self, text: str) -> list[str]:
        """The words of a text, in order and each once, that the vocabulary holds no token for as a whole."""
        words = dict.fromkeys(self.words(text))
        return [word for word in words if len(self._tokenizer.encode(word, add_special_tokens=False).ids) > 1]

    @staticmethod
    def words(text: str) -> list[str]:
        """The words of a text, in small letters: two letters or more, or one of Chinese or Japanese."""
        return re.findall(r"[^\W\d_]{2,}|[\u2e80-\u9fff]", _clean(text))


def _clean(text: str) -> str:
    characters = []
    for character in text:
        code, category = ord(character), unicodedata.category(character)
        if character in " \t\n\r" or category == "Zs":
            characters.append(" ")
        elif code == 0xFFFD or category.startswith("C"):
            continue
        elif any(low <= code <= high for low, high in _CJK):
            characters.append(f" {character} ")
        else:
            characters.append(character)
    return " ".join(word.lower() for word in unicodedata.normalize("NFC", "".join(characters)).split())


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _content(token: str | dict[str, Any]) -> str:
    return token if isinstance(token, str) else str(token["content"])
