"""Single words: the network that tells them, and what its word counts beside what is spelled and put out."""

import numpy as np
import pytest
import torch

from tml_ros.duplex.native.dmel import LogMel
from tml_ros.duplex.native.listening import Listener
from tml_ros.duplex.native.reading import LetterGraph
from tml_ros.duplex.native.spotting import CHANNELS, HEARD_FRAMES, KeywordNet, Keywords
from tml_ros.duplex.native.vocabulary import LETTERS
from tml_ros.errors import ModelError
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import Grammar
from tml_ros.records import IntentDraft

WORDS = ("left", "right", "help", "stop")
FILE = load_intents()
GRAMMAR = Grammar(FILE)
GRAPH = LetterGraph(GRAMMAR.graph(), LETTERS)
SURE, NOT = 6.0, -9.0


@pytest.fixture(scope="module")
def keyword_net() -> KeywordNet:
    """Random weights, and norms that do not make all of it the same."""
    torch.manual_seed(0)
    net = KeywordNet(WORDS)
    net.train()
    for _ in range(20):
        net(torch.randn(4, 300, CHANNELS) * 3 - 5)
    return net.eval().requires_grad_(False)


def test_micro_turns_tell_the_same_as_the_whole_sound_at_once(keyword_net, tmp_path):
    keyword_net.save(tmp_path)
    stream, turns = Keywords(tmp_path).open(), 12
    assert stream.words == WORDS
    sound = (0.1 * np.random.default_rng(1).standard_normal((turns, 3200))).astype(np.float32)
    found = np.concatenate([stream.hear(turn) for turn in sound])
    frames = LogMel(CHANNELS)(torch.from_numpy(sound)[None], torch.ones(1, turns, dtype=torch.bool)).flatten(1, 2)
    chances = keyword_net(frames.float()[:, (20 * turns - HEARD_FRAMES) % 4 :])[0].softmax(1)[:, 1:].double().numpy()
    assert found.shape == (5 * turns, len(WORDS))
    assert len(chances) == (20 * turns - HEARD_FRAMES) // 4 + 1
    assert np.allclose(found[-len(chances) :], np.log(chances / (1 - chances)), atol=1e-3)
    assert np.ptp(found, axis=0).min() > 1e-3


@pytest.mark.parametrize("damage", ["missing", "no safetensors", "another kind", "no number"])
def test_reason_is_told_when_the_weights_do_not_fit(net, keyword_net, tmp_path, damage):
    if damage == "no safetensors":
        (tmp_path / "model.safetensors").write_bytes(b"nothing")
    elif damage == "another kind":
        net.save(tmp_path, {"flame": 1.0})
    elif damage == "no number":
        other = KeywordNet(WORDS)
        with torch.no_grad():
            other.last.bias[0] = float("nan")
        other.save(tmp_path)
    with pytest.raises(ModelError, match=str(tmp_path)):
        Keywords(tmp_path)


def told(*words, begin=3, count=8, tokens=60):
    """Odds of tokens in which words are told for a while, one after the other."""
    odds = np.full((tokens, len(WORDS)), NOT, np.float32)
    for number, word in enumerate(words):
        odds[begin + 30 * number :][:count, WORDS.index(word)] = SURE
    return odds


def spelled(text, *, held=2, sure=0.99):
    """Chances of letters, one after the other."""
    symbols = [each for letter in text for each in (*[1 + LETTERS.index(letter)] * held, 0)]
    chances = np.full((len(symbols), 1 + len(LETTERS)), (1 - sure) / len(LETTERS))
    chances[np.arange(len(symbols)), symbols] = sure
    return np.log(chances).astype(np.float32)


def heard(odds, text="", said=(), *, is_playing=False, keywords=WORDS):
    """What is believed when something is spelled and put out, and then odds of single words come with silence."""
    one, found = Listener(GRAMMAR, GRAPH, FILE.intents, keywords=keywords), []
    if text:
        one.hear(spelled(text))
        found += one.decide(said)
    silence = np.log(np.full((5, 1 + len(LETTERS)), 1e-6, np.float32))
    silence[:, 0] = 0.0
    for begin in range(0, len(odds), 5):
        one.hear(silence)
        if keywords:
            one.spot(odds[begin : begin + 5], is_playing=is_playing)
        found += one.decide(said if not text and begin == 0 else ())
    return found


def goal(drafts):
    return [draft.data.get("goal", draft.intent) for draft in drafts]


def test_a_word_of_which_nobody_else_tells_counts_once():
    (found,) = heard(told("left"))
    assert found.intent == "__intent_move_by__" and found.data == {"goal": "left"}
    assert found.confidence > 0.2 and found.priority == FILE.intents[found.intent].priority
    assert goal(heard(told("left", "right"))) == ["left", "right"]
    assert heard(told(tokens=100)) == []


def test_a_word_is_surer_when_it_is_spelled_and_put_out_too():
    meaning = GRAMMAR.parse("left")
    said = IntentDraft(meaning.intent, meaning.data, 0.3)
    (alone,) = heard(told("left"))
    (with_letters,) = heard(told("left"), "left")
    (with_both,) = heard(told("left"), "left", [said])
    assert alone.confidence < with_letters.confidence < with_both.confidence


def test_a_word_that_was_put_out_is_doubted_when_the_network_did_not_hear_it_and_no_other_word_is():
    left, up = (GRAMMAR.parse(word) for word in ("left", "up"))
    unsure = [IntentDraft(one.intent, one.data, 0.5) for one in (left, up)]
    for draft, is_doubted in zip(unsure, (True, False), strict=True):  # of "up" it does not know
        (without,) = heard(told(), said=[draft], keywords=())
        (found,) = heard(told(), said=[draft])
        assert found.data == draft.data
        assert (found.confidence < without.confidence) == is_doubted


def test_the_network_is_believed_when_something_else_was_put_out_by_guess():
    right = GRAMMAR.parse("right")
    (found,) = heard(told("left"), said=[IntentDraft(right.intent, right.data, 0.05)])
    assert goal([found]) == ["left"]


def test_a_longer_sentence_stays_what_it_is():
    (found,) = heard(told(), "turnlefttwentydegrees")
    assert found.intent == "__intent_turn_by__"


def test_nothing_is_told_by_a_word_while_the_robot_speaks_or_of_a_word_that_means_nothing_to_do():
    assert heard(told("left", begin=30), is_playing=True) == []
    assert heard(told("help")) == []
