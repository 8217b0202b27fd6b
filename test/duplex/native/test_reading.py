"""Letters read as sentences of a grammar, and weighed against what the model puts out."""

import itertools
import random

import numpy as np
import pytest

from tml_ros.duplex.native.answering import Answers, Said
from tml_ros.duplex.native.listening import Listener, Witness, weighed
from tml_ros.duplex.native.reading import LetterGraph, Reader
from tml_ros.duplex.native.vocabulary import LETTERS
from tml_ros.duplex.native.vocabulary_corpus import draw_phrase
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import Grammar
from tml_ros.intents.graph import word_graph
from tml_ros.intents.phrases import parse_phrase
from tml_ros.records import Floor, IntentDraft, SpeechText, TimeAction, TimerDraft, TimeRequest

FILE = load_intents()
GRAMMAR = Grammar(FILE)
WORDS = GRAMMAR.graph()
GRAPH = LetterGraph(WORDS, LETTERS)
MOVE = IntentDraft("__intent_move_by__", {"goal": "forward", "other_data": {"distance_m": 10}}, 0.4)


def small(phrase):
    return LetterGraph(word_graph(parse_phrase(phrase), lambda name: ()), LETTERS)


def spelled(text, *, each=2, gap=1, sure=0.99, quiet=0):
    """Chances of letters that are held for some tokens each, with some of no letter between them."""
    symbols = []
    for letter in text.replace(" ", ""):
        symbols += [1 + LETTERS.index(letter)] * each + [0] * gap
    return likely([*symbols, *[0] * quiet], sure)


def likely(symbols, sure=0.99):
    chances = np.full((len(symbols), 1 + len(LETTERS)), (1 - sure) / len(LETTERS))
    chances[np.arange(len(symbols)), symbols] = sure
    return np.log(chances).astype(np.float32)


def read(graph, chances):
    """Read tokens of which nothing may be left out but what is no letter."""
    reader, skipping = Reader(graph), 0.0
    for token in chances:
        reader.push(token, skipping)
        skipping += float(token.max() - token[0])
    return reader.best()


def cost(sentence, chances):
    """Cost of a sentence, by trying every way to lay its letters over the tokens."""
    lost = chances - chances.max(1, keepdims=True)
    letters, best = [1 + LETTERS.index(letter) for letter in sentence.replace(" ", "")], -np.inf
    for path in itertools.product(sorted({0, *letters}), repeat=len(chances)):
        if [symbol for symbol, _ in itertools.groupby(path) if symbol] == letters:
            best = max(best, float(lost[np.arange(len(path)), path].sum()))
    return -best


def walk(rng):
    """One sentence of the graph, from its end to its beginning."""
    place, words = rng.choice(sorted(WORDS.lasts)), []
    while place >= 0:
        words.append(WORDS.words[place])
        place = rng.choice(sorted(WORDS.before[place]))
    return " ".join(words[::-1])


def test_each_sentence_of_the_graph_means_something_when_it_is_read():
    rng = random.Random(0)
    texts = {walk(rng) for _ in range(400)}
    assert len(texts) > 300
    assert [text for text in texts if GRAMMAR.parse(text) is None] == []


@pytest.mark.parametrize("rule", range(0, len(FILE.rules), 3))
def test_what_may_be_said_is_read_when_it_is_spelled_clearly(rule):
    rng = random.Random(rule)
    for phrase in FILE.rules[rule].get("phrases", ())[:2]:
        text = " ".join(draw_phrase(parse_phrase(phrase), FILE.slots, rng))
        found = read(GRAPH, spelled(text))
        assert found is not None
        assert found.text.replace(" ", "") == text.replace(" ", "")
        assert found.cost == pytest.approx(0.0, abs=1e-3)
        assert found.letters == len(text.replace(" ", ""))


@pytest.mark.parametrize("seed", range(6))
def test_the_cheapest_sentence_is_found_when_all_are_tried(seed):
    rng, phrase = np.random.default_rng(seed), "(go|no|on) [on]"
    chances = np.log(rng.dirichlet(np.full(1 + len(LETTERS), 0.3), 5) + 1e-6).astype(np.float32)
    costs = {text: cost(text, chances) for text in ("go", "no", "on", "go on", "no on", "on on")}
    found = read(small(phrase), chances)
    assert found is not None
    assert found.cost == pytest.approx(min(costs.values()), rel=1e-4)
    assert costs[found.text] == pytest.approx(found.cost, rel=1e-4)


def test_a_letter_twice_needs_silence_between_when_it_is_spelled():
    with_gap, without = (read(small("bee"), likely(symbols)) for symbols in ([2, 5, 0, 5], [2, 5, 5, 5]))
    assert with_gap is not None and without is not None
    assert with_gap.cost == pytest.approx(0, abs=1e-3)
    assert without.cost > 3


def test_a_nearly_spelled_sentence_is_read_when_letters_are_wrong_or_missing():
    found = read(GRAPH, spelled("gho forwrd ten meeters", sure=0.9))
    assert found is not None and found.text == "go forward ten meters"
    assert 0 < found.cost / found.letters < 2


@pytest.mark.parametrize(
    ("said", "is_whole", "goes_on"),
    [
        ("go forward", True, True),  # ten meters
        ("go forward ten meters", True, False),
        ("put the bottle on the", False, True),
        ("bring me the red cup please", True, False),
        ("turn left", True, True),
        ("left", True, False),
    ],
)
def test_a_sentence_may_go_on_when_the_grammar_has_more(said, is_whole, goes_on):
    reader, skipping, chances = Reader(GRAPH), 0.0, spelled(said)
    for token in chances:
        reader.push(token, skipping)
        skipping += 3.0
    whole, begun = reader.best(), reader.begun()
    assert whole is not None and begun is not None
    assert (whole.cost < 1.0, begun.cost < 1.0) == (is_whole, goes_on)
    assert not goes_on or begun.text.replace(" ", "") == said.replace(" ", "")


def hear(listener, chances, said=(), step=5):
    """Let a listener hear tokens by the micro-turn; what was said comes with the last. Returns what is believed."""
    found = []
    for begin in range(0, len(chances), step):
        is_last = begin + step >= len(chances)
        listener.hear(chances[begin : begin + step])
        found += listener.decide(said if is_last else ())
    return found


def listener():
    return Listener(GRAMMAR, GRAPH, FILE.intents)


def test_a_sentence_counts_alone_once_when_it_is_long_and_over():
    one = listener()
    found = hear(one, spelled("go forward ten meters", quiet=60))
    assert [(draft.intent, dict(draft.data)) for draft in found] == [(MOVE.intent, dict(MOVE.data))]
    assert found[0].confidence > 0.9
    assert found[0].priority == FILE.intents[MOVE.intent].priority
    assert hear(one, spelled("", quiet=100)) == []


def test_nothing_is_believed_when_what_is_spelled_is_no_sentence_or_a_short_word_alone():
    assert hear(listener(), spelled("the weather was rather nice in spring", quiet=40)) == []
    assert all(one.confidence < 0.2 for one in hear(listener(), spelled("go", quiet=40)))
    assert hear(listener(), spelled("", quiet=100)) == []


def test_a_word_at_the_end_of_other_talk_is_no_command():
    assert hear(listener(), spelled("they all said turn left twenty degrees", quiet=40)) == []


def test_a_sentence_with_a_pause_is_read_as_one_when_it_goes_on():
    chances = np.concatenate([spelled("go forward", quiet=12), spelled("ten meters", quiet=25)])
    assert [dict(draft.data) for draft in hear(listener(), chances)] == [dict(MOVE.data)]


def test_what_the_model_says_is_surer_when_it_is_spelled_too():
    go = IntentDraft("__intent_answer__", {"object": "yes"}, 0.4)
    meaning = GRAMMAR.parse("yes")
    assert meaning is not None
    go = IntentDraft(meaning.intent, meaning.data, 0.4)
    (with_letters,) = hear(listener(), spelled("yes", quiet=10), [go])
    (without,) = hear(listener(), spelled("", quiet=10), [go])
    assert with_letters.confidence > 0.6 > 0.4 > without.confidence > 0.1


def test_the_sentence_is_believed_when_the_model_says_another_and_comes_only_once():
    one, wrong = listener(), IntentDraft(MOVE.intent, {"goal": "left"}, 0.5)
    (found,) = hear(one, spelled("go forward ten meters", quiet=8), [wrong])
    assert dict(found.data) == dict(MOVE.data)
    assert hear(one, spelled("", quiet=10), [wrong]) == []
    assert one.counters == {"read_otherwise": 1, "left_out": 1}
    (after,) = hear(one, spelled("", quiet=60), [wrong])
    assert after.intent == wrong.intent


def test_the_model_does_not_wait_for_ever_when_somebody_goes_on_talking():
    one, said = listener(), IntentDraft(MOVE.intent, {"goal": "left"}, 0.9)
    chances = spelled("the weather was rather nice in spring and so on and on")
    found = [
        one.hear(chances[begin : begin + 5]) or one.decide([said] if begin == 0 else []) for begin in range(0, 50, 5)
    ]
    assert [bool(each) for each in found].index(True) == 5 and sum(map(len, found)) == 1


def test_a_timer_is_read_when_it_is_spelled():
    (found,) = hear(listener(), spelled("set a timer for ten minutes", quiet=40))
    assert isinstance(found, TimerDraft) and found.after_s == 600


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ("count my push ups", TimeAction.COUNT),
        ("stop counting", TimeAction.STOP_COUNTING),
        ("how much time is left", TimeAction.LEFT),
    ],
)
def test_what_is_asked_of_the_clock_is_read_and_left_to_it(said, action):
    one = listener()
    answered = Said(Floor.SPEAK, (SpeechText("Good."),))
    one.hear(spelled(said, quiet=15))
    assert one.reply(is_wanted=True) == ""
    assert Answers(one).take(answered, is_playing=False).speech == ()
    (found,) = hear(listener(), spelled(said, quiet=40))
    assert isinstance(found, TimeRequest) and found.action is action
    stop = GRAMMAR.parse("stop")
    unsure = IntentDraft(stop.intent, stop.data, 0.4)
    (found,) = hear(listener(), spelled(said, quiet=15), [unsure])  # what the model makes of it is less likely
    assert isinstance(found, TimeRequest)


def test_reminders_are_hushed_by_stop_when_it_is_sure():
    stop = GRAMMAR.parse("stop")
    for confidence, wanted in ((0.9, [TimeAction.HUSH]), (0.001, [])):
        draft, *beside = hear(listener(), spelled("stop", quiet=10), [IntentDraft(stop.intent, stop.data, confidence)])
        assert draft.intent == stop.intent
        assert [one.action for one in beside] == wanted


def test_the_model_is_believed_when_what_is_spelled_is_far_off():
    reading = read(GRAPH, spelled("xqz"))
    assert weighed(Witness(reading, GRAMMAR.parse("go"), MOVE)).data == MOVE.data
    assert weighed(Witness(None, None, None)) is None


def test_what_was_taught_is_believed_without_the_model():
    reading = read(GRAPH, spelled("go"))
    unsaid = Witness(reading, GRAMMAR.parse("go"), None)
    assert weighed(unsaid) is None  # two letters are little
    plain, taught = listener(), Listener(GRAMMAR, GRAPH, FILE.intents, taught=["stop"])
    chances = spelled("stop", quiet=40)
    one, other = hear(plain, chances)[0], hear(taught, chances)[0]
    assert one.intent == other.intent and other.confidence > one.confidence + 0.2


@pytest.mark.parametrize(
    ("known", "taught", "wanted"),
    [
        ("turn left", "turn right", "turn left"),  # nobody has taught to hear that
        ("turn left", "stop", "turn left"),  # as good as what was known before
        ("turn lift", "stop", "stop"),
        ("stop", "stop", "stop"),
        ("", "stop", "stop"),  # what knows nothing of it hears no letter
        ("turn left", "", "turn left"),
    ],
)
def test_only_what_was_taught_is_asked_of_what_was_taught_to_hear(known, taught, wanted):
    one, found = Listener(GRAMMAR, GRAPH, FILE.intents, taught=["stop"]), []
    pair = [spelled(text, quiet=70 - 3 * len(text.replace(" ", ""))) for text in (known, taught)]
    for begin in range(0, 70, 5):
        one.hear(*(chances[begin : begin + 5] for chances in pair))
        found += one.decide(())
    intents = [draft.intent for draft in found if isinstance(draft, IntentDraft)]
    assert intents == [GRAMMAR.parse(wanted).intent]


def test_name_of_an_intent_that_is_none_says_only_that_the_model_wanted_one():
    made_up = IntentDraft("__intent_sto__intent_", {}, 0.3)
    one = listener()
    one.hear(spelled("stop", quiet=8))
    (found,) = one.decide([made_up])
    assert found.intent == GRAMMAR.parse("stop").intent


def silences(said, most=60):
    """Tokens of silence after which what was said is over, in steps of a token."""
    one = listener()
    hear(one, spelled(said))
    for count in range(most):
        if one.is_over:
            return count
        one.hear(spelled("", quiet=1))
    return None


def test_a_sentence_is_over_with_its_last_letter_and_not_within_a_word_that_may_follow():
    one, over = listener(), []
    for token in spelled("take me to the office please", each=1):
        one.hear(token[None])
        over.append(one.is_over)
    office, whole = len("takemetotheoffice") * 2, len("takemetotheofficeplease") * 2
    assert over[office - 1] and over[whole - 1]
    assert not any(over[office + 2 : whole - 2])


def test_a_sentence_is_over_soon_when_nothing_can_follow_and_later_when_it_may_go_on():
    assert silences("bring me the red cup") <= 2
    assert silences("stop") <= 2  # although "stop it" may follow: nobody who says it is waited for
    assert 8 <= silences("turn left") <= 12
    assert 30 <= silences("put the bottle on the") <= 45
    assert silences("the weather was rather nice") <= 2  # no sentence of the grammar: the model's to know


def test_a_sentence_is_a_new_one_when_silence_was_before_it():
    one = listener()
    hear(one, spelled("turn left"))
    first = one.sentence
    hear(one, spelled("by ninety", each=1, gap=1))
    assert one.sentence == first
    hear(one, spelled("", quiet=8))
    hear(one, spelled("degrees"))
    assert one.sentence == first + 1


def test_what_was_spelled_well_is_answered_with_the_words_of_the_file():
    one = listener()
    assert one.reply(is_wanted=True) is None and not one.is_heard
    hear(one, spelled("bring me the red cup", quiet=3))
    assert one.is_heard and one.reply(is_wanted=False) == "Bringing the red cup."
    hear(one, spelled("", quiet=60))
    assert one.reply(is_wanted=True) is None and not one.is_heard
    short = listener()
    hear(short, spelled("go", quiet=3))
    assert (short.reply(is_wanted=True), short.reply(is_wanted=False)) == ("Going forward.", None)
