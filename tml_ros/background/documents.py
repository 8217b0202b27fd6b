"""A folder of Markdown documents that can be searched: split into passages, ranked by BM25.

It knows no questions, answers or models. What a document says is text and nothing else. Words are brought to their
stems, so that ``disposing`` finds ``disposal``; a word that no document has is taken for a compound that was written or
heard apart (``eyewash``, ``eye wash``) or, when it is long, for the nearest word there is.

Source: BM25 as in Lucene (the library bm25s), the Snowball stemmer for English (PyStemmer).
"""

import difflib
import itertools
import logging
import math
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import bm25s
import numpy as np
import Stemmer
from bm25s.stopwords import STOPWORDS_EN_PLUS

from tml_ros.background.passages import Passage, split_document
from tml_ros.errors import ConfigError

__all__ = ["MAX_FILE_BYTES", "MAX_TOTAL_BYTES", "DocumentIndex", "Passage"]

MAX_FILE_BYTES = 1 << 20
MAX_TOTAL_BYTES = 16 << 20
MAX_QUERY_WORDS = 64

_WORD = re.compile(r"[a-z0-9]+")

_SAID_OFTEN = """
    also anybody anyone anything cannot case could find get give go going gonna got happen happens hello hey kind know
    let like many may might much must okay ok please put say shall show somebody someone something tell thing things uh
    um us want whats wheres whos would
"""
_STOP_WORDS = frozenset(STOPWORDS_EN_PLUS) | frozenset(_SAID_OFTEN.split())
_HEADING_WEIGHT = 2
_MIN_FUZZY_LENGTH = 5
_FUZZY_CUTOFF = 0.8


class DocumentIndex:
    """The passages of a folder.

    Thread: any number of readers.
    """

    def __init__(self, folder: Path) -> None:
        """Read every ``*.md`` below the folder and index it.

        Raises:
            ConfigError: the folder is missing or holds no text, a file cannot be read, or there is too much.
        """
        self._lock = threading.Lock()
        self._stemmer = Stemmer.Stemmer("english")
        self._passages: list[Passage] = []
        bags: list[list[str]] = []
        for source, text in _read_folder(folder):
            title, passages = split_document(source, text)
            self._passages += passages
            for passage in passages:
                heading = passage.heading if passage.heading != title else ""
                bags.append(self.terms(f"{passage.text} {title} {_HEADING_WEIGHT * f'{heading} '}"))
        if not any(bags):
            raise ConfigError(f"no *.md file below {folder} holds text; put documents there, or name none")
        self._counts = Counter(term for bag in bags for term in set(bag))
        self._by_start = _by_start(self._counts)
        self._index = _index(bags)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Every passage, in the order of the files."""
        return tuple(self._passages)

    def search(self, query: str, count: int = 3) -> tuple[Passage, ...]:
        """Return the passages that fit best, best first; none whose score is zero."""
        known = [term for term in self.query_terms(query) if term in self._counts]
        if not known:
            return ()
        scores = self._index.get_scores(known)
        best = np.argsort(-scores, kind="stable")[:count]
        found = ((self._passages[at], float(scores[at])) for at in best if scores[at] > 0)
        return tuple(Passage(passage.source, passage.heading, passage.text, score) for passage, score in found)

    def terms(self, text: str) -> list[str]:
        """Return the stems of the words that say something, in order, repeated as they are."""
        return self._stems(_content_words(text))

    def query_terms(self, query: str) -> tuple[str, ...]:
        """Return the terms of a query once each, brought to words of the documents where one is near."""
        words = _content_words(query)[:MAX_QUERY_WORDS]
        terms = self._stems(words)
        joints = self._stems([first + second for first, second in itertools.pairwise(words)])
        found: list[str] = []
        for at, term in enumerate(terms):
            is_end, is_start = (0 <= joint < len(joints) and joints[joint] in self._counts for joint in (at - 1, at))
            if is_start:
                found.append(joints[at])
            if term in self._counts or not (is_end or is_start):
                found += self._nearest(term)
        return tuple(dict.fromkeys(found))

    def weight(self, term: str) -> float:
        """Return how much a term says: the rarer, the more (inverse document frequency); most for an unknown one."""
        count = self._counts[term]
        return math.log(1 + (len(self._passages) - count + 0.5) / (count + 0.5))

    def _stems(self, words: list[str]) -> list[str]:
        with self._lock:  # a stemmer keeps state while it works
            return list(self._stemmer.stemWords(words))

    def _nearest(self, term: str) -> tuple[str, ...]:
        if term in self._counts:
            return (term,)
        for at in range(3, len(term) - 2):
            if term[:at] in self._counts and term[at:] in self._counts:
                return term[:at], term[at:]
        if len(term) >= _MIN_FUZZY_LENGTH and not term.isdigit():
            near = [word for word in self._by_start.get(term[0], ()) if abs(len(word) - len(term)) <= 2]
            return tuple(difflib.get_close_matches(term, near, n=1, cutoff=_FUZZY_CUTOFF)) or (term,)
        return (term,)


def _content_words(text: str) -> list[str]:
    words = _WORD.findall(text.lower().replace("'s", " ").replace("'", ""))
    return [word for word in words if word not in _STOP_WORDS]


def _index(bags: list[list[str]]) -> bm25s.BM25:
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library sets it to DEBUG
    index = bm25s.BM25(method="lucene", backend="numpy")
    index.index(bags, show_progress=False)
    return index


def _by_start(words: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in sorted(words):
        found.setdefault(word[0], []).append(word)
    return found


def _read_folder(folder: Path) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder} with documents; check the path, or name none")
    paths = sorted(path for path in folder.rglob("*.md") if path.is_file())
    if not paths:
        raise ConfigError(f"no *.md file below {folder}; put Markdown documents there, or name none")
    total = 0
    for path in paths:
        text = _read_file(path)
        total += len(text.encode())
        if total > MAX_TOTAL_BYTES:
            raise ConfigError(f"the documents below {folder} hold more than {MAX_TOTAL_BYTES} bytes; keep fewer there")
        yield path.relative_to(folder).as_posix(), text


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_FILE_BYTES} bytes; split it into smaller documents")
        return content.decode("utf-8-sig")
    except OSError as err:
        raise ConfigError(f"cannot read document {path}: {err.strerror}; check its permissions") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path} is not UTF-8 text ({err.reason} at byte {err.start}); save it as UTF-8") from err
