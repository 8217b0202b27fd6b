"""PocketSphinx forgets: a session is heard the same whatever its decoders heard before."""

import numpy as np
import pytest

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.recognizers.sphinx import SphinxPool
from tml_ros.intents import Grammar, load_intents


@pytest.fixture(scope="module")
def pool():
    return SphinxPool(Grammar(load_intents()), CascadeConfig())


def scores(pool: SphinxPool, sound: np.ndarray) -> list[tuple[str, int]]:
    """Return what both decoders think so far, with their scores, after every 200 ms of a session's only utterance."""
    recognizer = pool.open()
    recognizer.begin()
    found = []
    for start in range(0, len(sound), 3200):
        recognizer.feed(sound[start : start + 3200])
        # words alone are too coarse: a score that is a little off changes them in one scenario of ten
        hypotheses = [decoder.hyp() for decoder in recognizer._decoders]
        found += [(one.hypstr, one.best_score) for one in hypotheses if one is not None]
    pool.close(recognizer)
    return found


def test_session_is_heard_the_same_whatever_was_heard_before(pool, say):
    table, kitchen = say("put it on the table"), say("go to the kitchen and bring me the cup", "rms")
    first = [
        scores(pool, table),
        scores(pool, table),
        scores(pool, kitchen),
        scores(pool, table),
        scores(pool, kitchen),
    ]
    assert first[0] == first[1] == first[3]
    assert first[2] == first[4]
    assert len(first[0]) > 10
