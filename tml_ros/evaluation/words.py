"""What was said or heard against what should have been, word by word.

It knows no sound and no meaning. Both sides are brought to one spelling first: lower case, no punctuation, numbers from
0 to 100 in words.

Source: word error rate as in NIST's sclite: substitutions, deletions and insertions of the cheapest alignment over the
number of reference words. Over several sentences the errors are added up, and so are the words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tml_ros.evaluation.results import Observation
from tml_ros.intents.numbers import MAX_NUMBER, number_to_words

__all__ = ["WordErrors", "overlap", "spelled", "wer", "word_errors"]

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True, slots=True)
class WordErrors:
    """The cheapest way from the reference to what was heard. words: of the reference."""

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def rate(self) -> float:
        """Errors over reference words; may be above 1. Words heard where there are none count as if there was one."""
        return (self.substitutions + self.deletions + self.insertions) / max(1, self.words)


def spelled(text: str) -> list[str]:
    """Return the words of a text in one spelling: ``Turn 90°, please!`` -> turn ninety please."""
    found = _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return [part for word in found for part in _in_words(word)]


def _in_words(word: str) -> list[str]:
    is_known = word.isascii() and word.isdigit() and len(word) <= len(str(MAX_NUMBER)) and int(word) <= MAX_NUMBER
    return number_to_words(int(word)).split() if is_known else [word]


def word_errors(reference: str, heard: str) -> WordErrors:
    """Return the errors in what was heard; of several cheapest alignments one with the most substitutions."""
    wanted, found = spelled(reference), spelled(heard)
    # row[n]: (errors, deletions and insertions, deletions) of the reference so far against the first n words heard
    row = [(n, n, 0) for n in range(len(found) + 1)]
    for number, word in enumerate(wanted, 1):
        above, row = row, [(number, number, number)]
        for n, other in enumerate(found, 1):
            if word == other:
                row.append(above[n - 1])
                continue
            (s_all, s_gaps, s_del), (d_all, d_gaps, d_del), (i_all, i_gaps, i_del) = above[n - 1], above[n], row[n - 1]
            row.append(
                min((s_all + 1, s_gaps, s_del), (d_all + 1, d_gaps + 1, d_del + 1), (i_all + 1, i_gaps + 1, i_del))
            )
    errors, gaps, deletions = row[-1]
    return WordErrors(errors - gaps, deletions, gaps - deletions, len(wanted))


def wer(reference: str, heard: str) -> Observation:
    """Return the word error rate of a sentence, weighted by its words."""
    errors = word_errors(reference, heard)
    return Observation("wer", errors.rate, weight=float(max(1, errors.words)))


def overlap(wanted: str, said: str) -> float:
    """Return the share of wanted words that were said in the same order: 0 to 1; 1 if none are wanted."""
    words = spelled(wanted)
    return _common(words, spelled(said)) / len(words) if words else 1.0


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        above, row = row, [0]
        for n, other in enumerate(second, 1):
            row.append(above[n - 1] + 1 if word == other else max(above[n], row[-1]))
    return row[-1]
