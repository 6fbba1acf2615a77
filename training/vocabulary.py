"""nano's words: a byte-pair tokenizer in CLIP's format and a meaning for each word.

The words are those of the captions and those of an English dictionary that lie near them in `wordllama`'s
static embeddings (MIT licence).  Byte-pair training over the bare word list, run until nothing is left to
merge, makes every word one token.  A word's embedding is wordllama's, reduced to the model's width by PCA,
and stays as it is in training: so a synonym that no caption used lies near one that was.  The pieces of
other words begin at zero.
"""

from __future__ import annotations

import json
from collections import Counter
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from cyclorama.models.debian import fetch_package

WIDTH = 128
LENGTH = 32
_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"
_DICTIONARY = "wamerican-small"  # a Debian package, public domain
_SCALE = 0.3  # standard deviation of the embeddings


def words_of(texts: list[str]) -> Counter[str]:
    """How often each word of plain letters occurs."""
    return Counter(
        word for text in texts for word in text.replace(",", " ").split() if word.isascii() and word.isalpha()
    )


def fetch_dictionary(cache: Path) -> list[str]:
    """The dictionary's lower-case words of 3 to 14 letters, fetched from Debian's archive once."""
    listing = fetch_package(_DICTIONARY, cache) / "usr/share/dict/american-english-small"
    lines = listing.read_text(encoding="utf-8").split()
    return sorted(
        {word for word in lines if word.isascii() and word.isalpha() and word.islower() and 3 <= len(word) <= 14}
    )


class StaticEmbeddings:
    """wordllama's vectors of 256 numbers, read without its package's code."""

    def __init__(self) -> None:
        files = {path.name: Path(str(path.locate())) for path in metadata.files("wordllama") or []}
        self._tokenizer = Tokenizer.from_file(str(files["l2_supercat_tokenizer_config.json"]))
        self._tokenizer.no_padding()
        (self._rows,) = load_file(files["l2_supercat_256.safetensors"]).values()

    def has(self, word: str) -> bool:
        """Whether the word has a vector of its own; the mean of several pieces says little."""
        return len(self._tokenizer.encode(word, add_special_tokens=False).ids) == 1

    def __call__(self, words: list[str]) -> NDArray[np.float32]:
        """(N, 256), each of length 1: the mean of a word's pieces."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(words, add_special_tokens=False)]
        vectors = np.stack([self._rows[i].astype(np.float32).mean(0) for i in ids])
        return np.asarray(vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9), np.float32)


def choose(captions: list[str], dictionary: list[str], size: int = 4000) -> list[str]:
    """The words of the captions, and of the dictionary those nearest in meaning to them, `size` in all."""
    counts = words_of(captions)
    known = sorted(word for word, count in counts.items() if count > 2 and len(word) > 1)
    embed = StaticEmbeddings()
    candidates = [word for word in dictionary if word not in counts and embed.has(word)]
    nearest = (embed(candidates) @ embed(known).T).max(axis=1)
    order = np.argsort(-nearest)[: max(0, size - len(known))]
    return sorted({*known, *(candidates[i] for i in order)})


def write_tokenizer(words: list[str], folder: Path) -> None:
    """Trains the byte-pair merges on the bare words and writes CLIP's files; the words go to `words.txt` beside it."""
    tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), behavior="removed")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=60_000, initial_alphabet=alphabet, end_of_word_suffix="</w>", min_frequency=1, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(words)], trainer)
    learnt = json.loads(tokenizer.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in learnt["merges"]]
    base = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    rest = [token for token in sorted(learnt["vocab"], key=learnt["vocab"].get) if token not in set(base)]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: i for i, token in enumerate([*base, *rest, _BOS, _EOS])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    (folder.parent / "words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LENGTH,
        bos_token=_BOS, eos_token=_EOS, pad_token=_EOS, unk_token=_EOS,
    ).save_pretrained(folder)  # fmt: skip


def embeddings(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The token embeddings (V, WIDTH) of a tokenizer, and which rows are words (V,), to stay as they are."""
    vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    listed = (folder.parent / "words.txt").read_text(encoding="utf-8").split()
    words = {word: vocabulary[word + "</w>"] for word in listed}
    vectors = StaticEmbeddings()(list(words))
    vectors -= vectors.mean(0)
    _, _, axes = np.linalg.svd(vectors, full_matrices=False)
    reduced = vectors @ axes[:WIDTH].T
    table = np.zeros((len(vocabulary), WIDTH), np.float32)
    fixed = np.zeros(len(vocabulary), bool)
    rows = list(words.values())
    table[rows] = reduced * (_SCALE / reduced.std())
    fixed[rows] = True
    special = [vocabulary[_BOS], vocabulary[_EOS]]
    table[special] = np.random.default_rng(0).normal(0, _SCALE, (2, WIDTH))
    return table, fixed
