"""Text to ids and back: the markers of ``tokens`` first, then byte-level pieces that were merged by frequency (BPE).

Words end with a blank, so ``moving forward`` is ``moving␣`` and ``forward␣``: whoever reads pieces as they come knows
at once when a word is whole, consecutive texts need no glue, and cutting at blanks never cuts a character. Digits stand
alone. A marker has an id but no spelling: text from outside that reads ``<intent>`` becomes plain characters.
It knows neither the grammar of the output nor tensors.

Source: byte-level BPE of Radford et al. 2019 (GPT-2), in Hugging Face's tokenizers, whose file format is kept.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from tml_ros.duplex.native.tokens import MARKER_NAMES, Marker
from tml_ros.errors import ConfigError, ModelError

__all__ = ["LETTERS", "Vocabulary", "normalise", "split_words", "to_text"]

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
"""What people say is spelled with these."""
_PIECES = r"\p{Nd} ?|[\p{L}\p{M}'_]+ ?|[^\s\p{L}\p{M}\p{Nd}'_]+ ?"
_REMEDY = "restore the file that belongs to the checkpoint, or train a new one with its weights"


class Vocabulary:
    """Markers and pieces of one model.

    Thread: any; nothing changes after construction.
    """

    def __init__(self, content: str, source: str) -> None:
        """Check a tokenizer file. content: what is in it. source: what a message calls it.

        Raises:
            ModelError: it is cut off, no file of tokenizers, or made for other markers.
        """
        vocabulary, merges = _parts(content, source)
        self._content = content
        self._tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        self._tokenizer.pre_tokenizer = _pre_tokenizer()
        byte_of = {symbol: byte for byte, symbol in enumerate(_byte_symbols())}
        names = sorted(vocabulary, key=vocabulary.__getitem__)
        self._pieces = [bytes(byte_of[symbol] for symbol in name) for name in names[len(Marker) :]]

    @classmethod
    def train(cls, lines: Iterable[str], size: int) -> "Vocabulary":
        """Make a vocabulary of ``size`` ids; the same lines give the same file.

        Raises:
            ConfigError: ``size`` leaves no room for markers and bytes, or is more than the lines have pairs for.
        """
        least = len(Marker) + 256
        if size < least:
            raise ConfigError(f"a vocabulary needs at least {least} ids (markers and bytes), got {size}")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = _pre_tokenizer()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(MARKER_NAMES),
            initial_alphabet=list(_byte_symbols()),
            show_progress=False,
        )
        tokenizer.train_from_iterator((_spaced(line) for line in lines), trainer)
        if tokenizer.get_vocab_size() != size:
            found = tokenizer.get_vocab_size()
            raise ConfigError(f"the text has pieces for {found} ids, wanted {size}; give more text or a smaller size")
        content = {**json.loads(tokenizer.to_str()), "added_tokens": []}
        return cls(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "the trained vocabulary")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a file that ``save`` wrote.

        Raises:
            ModelError: it is missing, cut off, no file of tokenizers, or made for other markers.
        """
        try:
            content = path.read_text(encoding="utf-8")
        except OSError as err:
            raise ModelError(f"cannot read tokenizer {path}: {err.strerror}; {_REMEDY}") from err
        except UnicodeDecodeError as err:
            raise ModelError(f"tokenizer {path} is no UTF-8 text: {err}; {_REMEDY}") from err
        return cls(content, str(path))

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            ModelError: it cannot be written.
        """
        try:
            path.write_text(self._content, encoding="utf-8")
        except OSError as err:
            raise ModelError(f"cannot write tokenizer {path}: {err.strerror}; check folder and permissions") from err

    @property
    def size(self) -> int:
        """How many ids there are, markers included."""
        return len(Marker) + len(self._pieces)

    @property
    def letters(self) -> tuple[int, ...]:
        """The token that stands for no letter, and that of each of LETTERS."""
        return (int(Marker.SPARE_1), *(self.encode(letter)[0] for letter in LETTERS))

    def encode(self, text: str) -> list[int]:
        """Return the pieces of a text as ``normalise`` leaves it; never a marker.

        Text by text is the same as all at once: ``encode(a) + encode(b) == encode(f"{a} {b}")``.
        """
        ids: list[int] = self._tokenizer.encode(_spaced(text), add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of pieces.

        Raises:
            ModelError: one of the ids is a marker or none of the vocabulary.
        """
        return to_text(b"".join(map(self.piece, ids)))

    def piece(self, token: int) -> bytes:
        """Return the UTF-8 bytes of one piece, which may be a part of a character.

        Raises:
            ModelError: the id is a marker or none of the vocabulary.
        """
        if not self.is_piece(token):
            raise ModelError(
                f"token {token} is no text, expected {len(Marker)}..{self.size - 1}; take markers out first"
            )
        return self._pieces[token - len(Marker)]

    def is_piece(self, token: int) -> bool:
        """Whether an id stands for text."""
        return len(Marker) <= token < self.size

    def show(self, ids: Sequence[int]) -> str:
        """Return ids as a person reads them, markers by name, for logs and model cards; it cannot be read back."""
        parts = [self.piece(token) if self.is_piece(token) else _name(token) for token in ids]
        return to_text(b"".join(parts))


def normalise(text: str) -> str:
    """Return the text as the vocabulary keeps it: composed characters (NFC), blanks between words, no controls."""
    kept = (" " if char.isspace() else char for char in text if char.isspace() or not _is_control(char))
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


def split_words(data: bytes) -> tuple[str, bytes]:
    """Cut the bytes of pieces behind the last whole word: its text and those before, and the bytes that remain."""
    end = data.rfind(b" ") + 1
    return to_text(data[:end]), data[end:]


def to_text(data: bytes) -> str:
    """Return the text of the bytes of pieces; bytes that are no characters are left out."""
    return normalise(data.decode("utf-8", "ignore"))


def _spaced(text: str) -> str:
    return f"{kept} " if (kept := normalise(text)) else ""


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs")


def _name(token: int) -> bytes:
    name = MARKER_NAMES[token] if 0 <= token < len(Marker) else f"<{token}?>"
    return f" {name} ".encode()


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    cut = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    return pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _byte_symbols() -> str:
    """Return the printable character that stands for each byte. Source: ``bytes_to_unicode`` of GPT-2's encoder.py."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in printable else next(others)) for byte in range(256))


def _parts(content: str, source: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return ids by name, and merges, of a file whose every piece can be spelled in bytes."""
    try:
        file: Any = json.loads(content)
        vocabulary: dict[str, int] = dict(file["model"]["vocab"])
        merges = [(str(left), str(right)) for left, right in file["model"]["merges"]]
        kind, added = file["model"]["type"], file["added_tokens"]
    except (ValueError, TypeError, KeyError) as err:
        raise ModelError(f"{source} is cut off or no tokenizer: {type(err).__name__} {err}; {_REMEDY}") from err
    names = sorted(vocabulary, key=lambda name: str(vocabulary[name]).zfill(12))
    merged = {left + right for left, right in merges}
    pieces, symbols = names[len(Marker) :], set(_byte_symbols())
    checks = (
        (kind == "BPE" and added == [], f"a BPE without added tokens, got {kind!r} with {added!r:.60}"),
        (list(map(vocabulary.get, names)) == list(range(len(names))), "ids without gaps"),
        (tuple(names[: len(Marker)]) == MARKER_NAMES, f"the markers {MARKER_NAMES[0]}.. first, got {names[:2]}"),
        (symbols.issuperset("".join(pieces)), "pieces spelled in byte symbols"),
        ({part for pair in merges for part in pair} <= set(pieces), "merges of pieces"),
        (set(pieces) == symbols | merged, f"{len(symbols | merged)} pieces (bytes and merges), got {len(pieces)}"),
    )
    for holds, wanted in checks:
        if not holds:
            raise ModelError(f"{source} is no tokenizer of this model: expected {wanted}; {_REMEDY}")
    return vocabulary, merges
