"""How well the tokens of sound spell what is said: letters that are wrong, by the likeliest letter of each token.

Source: Graves et al. 2006, best path decoding.
"""

import itertools
from collections.abc import Sequence

import torch

from tml_ros.duplex.native.inputs import ABSENT
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.training.encoding import Batch
from tml_ros.training.objective import letter_logits

__all__ = ["distance", "letter_errors"]


@torch.no_grad()
def letter_errors(model: InteractionTransformer, batch: Batch) -> tuple[int, int]:
    """Return how many letters are wrong, missing or too many, and how many there are."""
    best = letter_logits(model, model.heard(batch.inputs), batch.letters).argmax(-1).tolist()
    wrong = letters = 0
    for path, wanted in zip(best, batch.spelled.tolist(), strict=True):
        found = [letter for letter, _ in itertools.groupby(path) if letter]
        asked = [letter for letter in wanted if letter != ABSENT]
        wrong, letters = wrong + distance(found, asked), letters + len(asked)
    return wrong, letters


def distance(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the edit distance of two sequences."""
    before = list(range(len(other) + 1))
    for row, first in enumerate(one, start=1):
        now = [row]
        for column, second in enumerate(other):
            now.append(min(before[column] + (first != second), before[column + 1] + 1, now[column] + 1))
        before = now
    return before[-1]
