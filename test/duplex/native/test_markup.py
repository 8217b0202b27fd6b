"""The grammar of the model's output: what is read, what is dropped and counted, whatever ids come and however cut."""

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.duplex.native.markup import (
    HEARD_TURNS,
    MAX_QUIET_TURNS,
    MAX_STREAMED_TOKENS,
    MAX_TOKENS,
    TYPED_TURNS,
    MarkupParser,
    Parsed,
    encode,
)
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, MARKER_NAMES, Marker
from tml_ros.duplex.native.vocabulary import Vocabulary, normalise
from tml_ros.errors import ConfigError
from tml_ros.intents import AllowList, load_intents
from tml_ros.intents.templates import fill_data, placeholders
from tml_ros.records import (
    MICRO_TURN_NS,
    CountDraft,
    DelegationDraft,
    Floor,
    IntentDraft,
    MicroTurn,
    SpeechKind,
    SpeechText,
    TextInput,
    TextSource,
    TimerDraft,
    TranscriptEvent,
)
from tml_ros.resources import find
from tml_ros.speech.queue import UtteranceQueue

WORDS = Vocabulary.load(find("models/tiny/tokenizer.json"))
BY_NAME = dict(zip(MARKER_NAMES, Marker, strict=True))
FIELDS = ("intents", "delegations", "timers", "counts", "counters")


def ids(line: str) -> list[int]:
    """Return ids of a line in which markers are written by name, a blank between all words."""
    found: list[int] = []
    for word in line.split():
        found += [int(BY_NAME[word])] if word in BY_NAME else WORDS.encode(word)
    return found


def turn(index: int = 0, texts: tuple[TextInput, ...] = ()) -> MicroTurn:
    start = index * MICRO_TURN_NS
    return MicroTurn(index, start, start + MICRO_TURN_NS, np.zeros(3200, np.float32), 1.0, texts=texts)


def read(line: str, floor: Floor = Floor.SPEAK) -> Parsed:
    return MarkupParser(WORDS).push(ids(line), floor, turn())


def in_turns(*lines: str, floors: Sequence[Floor] = ()) -> list[Parsed]:
    parser = MarkupParser(WORDS)
    every = floors or [Floor.SPEAK] * len(lines)
    return [parser.push(ids(line), floor, turn(i)) for i, (line, floor) in enumerate(zip(lines, every, strict=True))]


# --------------------------------------------------------------------------------------------------------- speech


def test_words_come_as_they_are_whole_when_an_utterance_spans_micro_turns() -> None:
    first, second, third = in_turns("<say> going forward", "ten <end>", "meters. <done> <end>")

    assert first.speech == (SpeechText("going forward", last=False),)
    assert second.speech == (SpeechText("ten", last=False),)
    assert third.speech == (SpeechText("meters.", last=True),)


def test_word_is_held_back_when_a_micro_turn_ends_inside_it() -> None:
    parser, pieces = MarkupParser(WORDS), WORDS.encode("phenolphthalein")
    assert len(pieces) > 2
    first = parser.push([Marker.SAY, *WORDS.encode("the"), *pieces[:2]], Floor.SPEAK, turn())
    second = parser.push([*pieces[2:], Marker.DONE], Floor.SPEAK, turn(1))

    assert first.speech == (SpeechText("the", last=False),)
    assert second.speech == (SpeechText("phenolphthalein", last=True),)


def test_end_is_an_empty_delta_when_every_word_was_out_before() -> None:
    first, second = in_turns("<say> okay", "<done>")
    assert (first.speech, second.speech) == ((SpeechText("okay", last=False),), (SpeechText("", last=True),))


def test_queue_says_the_text_when_it_is_fed_the_deltas() -> None:
    class Silence:
        def synthesise(self, text: str) -> np.ndarray:
            return np.zeros(1600, np.float32)

    queue = UtteranceQueue(Silence())
    pieces = []
    for index, parsed in enumerate(in_turns("<say> Going", "forward. I am", "coming.", "<done>", "", "")):
        assert len({queue.say(speech) for speech in parsed.speech}) <= 1
        pieces += queue.take(turn(index).end_ns, "s", index)

    assert " ".join(" ".join(piece.text for piece in pieces).split()) == "Going forward. I am coming."
    assert pieces[-1].last and len({piece.utterance_id for piece in pieces}) == 1
    assert not queue.is_busy


@pytest.mark.parametrize(
    ("floor", "kind"), [(Floor.BACKCHANNEL, SpeechKind.BACKCHANNEL), (Floor.SPEAK, SpeechKind.REPLY)]
)
def test_kind_is_that_of_the_floor_at_the_opening_when_it_changes_later(floor, kind) -> None:
    found = in_turns("<say> mm", "hm <done>", floors=[floor, Floor.HOLD])
    assert [speech.kind for parsed in found for speech in parsed.speech] == [kind, kind]


@pytest.mark.parametrize("floor", [Floor.LISTEN, Floor.YIELD])
def test_utterance_ends_when_the_floor_is_lost(floor) -> None:
    first, second, third = in_turns(
        "<say> we have", "to go <done>", "<say> yes <done>", floors=["speak", floor, "speak"]
    )

    assert first.speech == (SpeechText("we have", last=False),)
    assert second.speech == (SpeechText("", last=True),) and second.counters == Counter(cut_say=1)
    assert third.speech == (SpeechText("yes", last=True),) and not third.counters


def test_part_of_a_word_is_never_said_when_the_floor_is_lost_inside_it() -> None:
    parser, pieces = MarkupParser(WORDS), WORDS.encode("phenolphthalein")
    parser.push([Marker.SAY, *WORDS.encode("the"), *pieces[:2]], Floor.SPEAK, turn())
    assert parser.push(pieces[2:], Floor.LISTEN, turn(1)).speech == (SpeechText("", last=True),)


def test_nothing_is_said_when_speech_begins_without_the_floor() -> None:
    found = read("<say> psst <done> <delegate> clear station one <done>", Floor.LISTEN)
    assert found.speech == () and found.counters == Counter(cut_say=1)
    assert found.delegations == (DelegationDraft("clear station one"),)


def test_nothing_is_said_when_an_utterance_is_empty() -> None:
    found = read("<say> <done>")
    assert found.speech == () and found.counters == Counter(malformed_say=1)


# --------------------------------------------------------------------------------------------------------- records


def test_intent_is_read_when_it_spans_micro_turns() -> None:
    first, second = in_turns(
        "<intent> __intent_move_by__ <slot> goal <is> the", "left <slot> other_data.distance_m <is> 10 <done>"
    )
    data = {"goal": "the left", "other_data": {"distance_m": 10}}
    assert first == Parsed()
    assert second == Parsed(intents=(IntentDraft("__intent_move_by__", data),))


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("-3", -3), ("2.5", 2.5), ("station one", "station one"), ("1.", "1."), ("1e5", "1e5"), ("٣", "٣")],
)
def test_value_is_a_number_when_it_is_one(text, value) -> None:
    (draft,) = read(f"<intent> a <slot> b <is> {text} <done>").intents
    assert draft.data == {"b": value} and type(draft.data["b"]) is type(value)


def test_priority_and_modality_are_those_of_the_intent_and_the_input_when_known() -> None:
    parser = MarkupParser(WORDS, load_intents().intents)
    line = ids("<intent> __intent_stop_activity__ <done>")
    (heard,) = parser.push(line, Floor.LISTEN, turn()).intents
    (typed,) = parser.push(line, Floor.LISTEN, turn(1, (TextInput(0, "stop"),))).intents
    for number in range(TYPED_TURNS):
        parser.push([], Floor.LISTEN, turn(number))
    (due,) = parser.push(line, Floor.LISTEN, turn(2, (TextInput(0, "stop", TextSource.TIMER),))).intents

    assert (heard.priority, heard.source) == (255, "__unknown_agent__")
    assert [heard.modality, typed.modality, due.modality] == ["speech", "other", "speech"]


def test_confidence_is_the_geometric_mean_when_probabilities_are_given() -> None:
    line = ids("<intent> __intent_greet__ <done>")
    chances = [0.01, *[0.9] * (len(line) - 2), 0.4]
    (draft,) = MarkupParser(WORDS).push(line, Floor.HOLD, turn(), chances).intents

    assert math.isclose(draft.confidence, math.prod(chances) ** (1 / len(line)))


@pytest.mark.parametrize(("waits", "wanted"), [(0, 0.5), (HEARD_TURNS - 1, 0.5), (HEARD_TURNS, 1.0)])
def test_an_intent_is_no_surer_than_what_was_heard_when_it_follows_soon(waits, wanted) -> None:
    heard, parser = ids("<heard> stop <done>"), MarkupParser(WORDS)
    parser.push(heard, Floor.LISTEN, turn(), [0.5, *[1.0] * (len(heard) - 1)])
    for _ in range(waits):
        parser.push([], Floor.LISTEN, turn())
    (draft,) = parser.push(ids("<intent> __intent_stop__ <done>"), Floor.LISTEN, turn()).intents
    assert math.isclose(draft.confidence, wanted)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 0.0, -1.0, 7.0])
def test_confidence_stays_within_bounds_when_a_probability_is_odd(odd) -> None:
    line = ids("<intent> a <done>")
    (draft,) = MarkupParser(WORDS).push(line, Floor.HOLD, turn(), [odd] * len(line)).intents
    assert 0.0 <= draft.confidence <= 1.0


def test_error_is_raised_when_probabilities_are_missing() -> None:
    with pytest.raises(ValueError):
        MarkupParser(WORDS).push(ids("<say> yes <done>"), Floor.SPEAK, turn(), [1.0])


def test_task_timer_and_count_are_read_when_they_are_whole() -> None:
    found = read(
        "<delegate> prepare station two <done> <timer> 90 <is> time is up <done>"
        " <timer> 0.5 <repeat> 600 <is> stand straight <done> <count> push ups <is> 12 <done>"
    )
    assert found.delegations == (DelegationDraft("prepare station two"),)
    assert found.timers == (TimerDraft("time is up", 90.0), TimerDraft("stand straight", 0.5, 600.0))
    assert found.counts == (CountDraft("push ups", 12),)
    assert not found.counters


def test_transcript_grows_and_ends_when_words_are_heard() -> None:
    parser = MarkupParser(WORDS)
    first = parser.push(ids("<heard> go"), Floor.LISTEN, turn(3)).transcripts
    second = parser.push(ids("forward <done>"), Floor.LISTEN, turn(4)).transcripts

    start = 3 * MICRO_TURN_NS
    assert first == (TranscriptEvent("user", "go", False, 1.0, start, start + MICRO_TURN_NS),)
    assert second == (TranscriptEvent("user", "go forward", True, 1.0, start, start + 2 * MICRO_TURN_NS),)


# ------------------------------------------------------------------------------------------------------- malformed


@pytest.mark.parametrize(
    "line",
    [
        "<intent> <done>",
        "<intent> two words <done>",
        "<intent> a <slot> b <done>",
        "<intent> a <is> b <done>",
        "<intent> a <slot> b <is> <done>",
        "<intent> a <slot> <is> c <done>",
        "<intent> a <slot> b.. <is> c <done>",
        "<intent> a <slot> b <slot> c <done>",
        "<intent> a <slot> b <repeat> c <done>",
        "<intent> a <slot> b <is> c <slot> b <is> d <done>",
        "<intent> a <slot> b <is> c <slot> b.e <is> d <done>",
        "<intent> a <slot> b.e <is> c <slot> b <is> d <done>",
        "<intent> a <speak> <done>",
        "<intent> a <out> b <done>",
        "<delegate> <done>",
        "<delegate> a <is> b <done>",
        "<timer> <is> a <done>",
        "<timer> ten <is> a <done>",
        "<timer> -1 <is> a <done>",
        "<timer> 0 <is> a <done>",
        "<timer> 86401 <is> a <done>",
        "<timer> 9999999999999999 <is> a <done>",
        "<timer> 5 <is> <done>",
        "<timer> 5 <done>",
        "<timer> 5 <repeat> 0 <is> a <done>",
        "<timer> 5 <repeat> 0.2 <is> a <done>",
        "<timer> 5 <repeat> x <is> a <done>",
        "<timer> 5 <is> a <repeat> 5 <done>",
        "<count> <is> 3 <done>",
        "<count> a <is> three <done>",
        "<count> a <is> -1 <done>",
        "<count> a <is> 1.5 <done>",
        "<count> a <is> 1000001 <done>",
        "<count> a <done>",
        "<say> <done>",
        "<heard> <done>",
    ],
)
def test_structure_is_dropped_and_counted_when_it_is_malformed(line) -> None:
    found = read(f"{line} <intent> __intent_greet__ <done>")
    name = line.split()[0].strip("<>")

    assert found.counters == Counter({f"malformed_{name}": 1})
    assert found == Parsed(intents=(IntentDraft("__intent_greet__", {}),), counters=found.counters)


@pytest.mark.parametrize("opening", ["<intent>", "<delegate>", "<timer>", "<count>"])
def test_structure_is_dropped_when_another_begins_inside(opening) -> None:
    found = read(f"{opening} a <say> okay <done>")
    assert found.speech == (SpeechText("okay", last=True),)
    assert found.counters == Counter({f"malformed_{opening[1:-1]}": 1})


@pytest.mark.parametrize("inside", ["<slot>", "<is>", "<listen>", "<user>", "<spare_1>", "<heard> a"])
def test_words_stay_and_the_utterance_ends_when_it_breaks(inside) -> None:
    found = read(f"<say> I am {inside} ignored <done>")
    assert found.speech == (SpeechText("I am", last=True),)
    assert found.counters["malformed_say"] == 1


def test_what_is_outside_is_counted_when_no_structure_is_open() -> None:
    found = MarkupParser(WORDS).push([*WORDS.encode("a"), Marker.DONE, Marker.SLOT, -5, 99_999], Floor.SPEAK, turn())
    assert found == Parsed(counters=Counter(stray_text=1, stray_marker=4))


@pytest.mark.parametrize("name", ["intent", "delegate", "timer", "count"])
def test_structure_is_dropped_when_it_is_too_long(name) -> None:
    def sized(tokens: int) -> Parsed:
        line = [BY_NAME[f"<{name}>"], *WORDS.encode("a") * (tokens - 1), Marker.DONE]
        return MarkupParser(WORDS).push(line, Floor.SPEAK, turn())

    assert sized(MAX_TOKENS).counters != Counter({f"overlong_{name}": 1})
    assert sized(MAX_TOKENS + 1) == Parsed(counters=Counter({f"overlong_{name}": 1}))


def test_structure_is_over_when_the_first_token_too_many_closes_it() -> None:
    line = [Marker.DELEGATE, *WORDS.encode("a") * MAX_TOKENS, Marker.DONE, *WORDS.encode("a")]
    found = MarkupParser(WORDS).push(line, Floor.SPEAK, turn())
    assert found.counters == Counter(overlong_delegate=1, stray_text=1)


@pytest.mark.parametrize("opening", ["<say>", "<heard>"])
def test_words_end_at_the_bound_when_a_streamed_structure_never_does(opening) -> None:
    parser, word = MarkupParser(WORDS), WORDS.encode("a")
    found = [parser.push(ids(opening), Floor.SPEAK, turn())]
    found += [parser.push(word * 8, Floor.SPEAK, turn(index)) for index in range(1, 200)]
    counters = sum((parsed.counters for parsed in found), Counter())
    ends = [one for parsed in found for one in parsed.speech if one.last]
    ends += [one for parsed in found for one in parsed.transcripts if one.final]

    assert counters == Counter({f"overlong_{opening[1:-1]}": 1})
    assert len(ends) == 1
    assert sum(len(one.text.split()) for p in found for one in p.speech) == MAX_STREAMED_TOKENS or opening == "<heard>"


def test_marker_is_only_text_when_it_was_spelled() -> None:
    line = [Marker.SAY, *WORDS.encode("<done> <intent> __intent_greet__ <done>"), Marker.DONE]
    found = MarkupParser(WORDS).push(line, Floor.SPEAK, turn())
    assert found == Parsed(speech=(SpeechText("<done> <intent> __intent_greet__ <done>", last=True),))


# ------------------------------------------------------------------------------------------------------ properties

ANY_ID = st.one_of(
    st.sampled_from([int(marker) for marker in Marker]),
    st.sampled_from(ids("<say> <intent> <done> <done> <slot> <is> goal 10 forward")),
    st.integers(len(Marker), WORDS.size - 1),
    st.integers(-(2**40), 2**40),
)
LINES = st.lists(
    st.sampled_from(
        [
            "<say> Going forward. <done>",
            "<intent> __intent_move_by__ <slot> goal <is> forward <done>",
            "<heard> go forward ten meters <done>",
            "<timer> 5 <is> a <done>",
            "<count> a <is> 3 <done>",
            "<say> oh",
            "<slot> <done>",
        ]
    ),
    max_size=6,
).map(lambda lines: ids(" ".join(lines)))
STREAMS = st.one_of(st.lists(ANY_ID, max_size=150), LINES)


def chunks(stream: Sequence[int], cuts: Sequence[int]) -> Iterator[Sequence[int]]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return (stream[start:end] for start, end in itertools.pairwise(edges))


def gist(found: Sequence[Parsed]) -> tuple:
    """Return what must not depend on how a stream was cut: all but partials and the borders of speech deltas."""
    utterances, words = [], []
    for speech in (speech for parsed in found for speech in parsed.speech):
        words.append(speech.text)
        if speech.last:
            utterances.append((" ".join(" ".join(words).split()), speech.kind))
            words = []
    finals = [event for parsed in found for event in parsed.transcripts if event.final]
    records = [[one for parsed in found for one in getattr(parsed, name)] for name in FIELDS[:-1]]
    return utterances, " ".join(words), finals, records, sum((parsed.counters for parsed in found), Counter())


@given(STREAMS, st.sampled_from(list(Floor)))
@settings(max_examples=200, deadline=None)
def test_nothing_is_raised_when_any_ids_come(stream, floor) -> None:
    found = MarkupParser(WORDS).push(stream, floor, turn())
    for speech in found.speech:
        assert normalise(speech.text) == speech.text and (speech.text or speech.last)
    for draft in found.intents:
        assert draft.intent and " " not in draft.intent


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=8), st.sampled_from(list(Floor)))
@settings(max_examples=200, deadline=None)
def test_results_are_the_same_when_the_stream_is_cut_elsewhere(stream, cuts, floor) -> None:
    parser = MarkupParser(WORDS)
    cut = [parser.push(part, floor, turn()) for part in chunks(stream, cuts)]
    whole = MarkupParser(WORDS).push(stream, floor, turn())
    words = parser.push(ids("<delegate> x <done>"), floor, turn())  # shows the words that were still held back

    other = MarkupParser(WORDS)
    assert gist([*cut, words]) == gist(
        [other.push(stream, floor, turn()), other.push(ids("<delegate> x <done>"), floor, turn())]
    )
    assert gist(cut)[3:] == gist([whole])[3:]


@given(STREAMS, STREAMS)
@settings(max_examples=50, deadline=None)
def test_parser_goes_on_the_same_when_restored_and_afresh_when_reset(before, after) -> None:
    parser, other = MarkupParser(WORDS), MarkupParser(WORDS)
    parser.push(before, Floor.SPEAK, turn())
    state = parser.snapshot()
    first = parser.push(after, Floor.SPEAK, turn(1))
    other.restore(state)

    assert other.push(after, Floor.SPEAK, turn(1)) == first
    parser.reset()
    assert parser.push(after, Floor.SPEAK, turn(1)) == MarkupParser(WORDS).push(after, Floor.SPEAK, turn(1))


# ---------------------------------------------------------------------------------------------------------- encode


def data_of_intents() -> list[IntentDraft]:
    """Return drafts of every rule of the shipped intents file, with every value of every slot."""
    file, drafts = load_intents(), []
    for rule in file.rules:
        if "intent" not in rule:
            continue
        names = sorted(set(placeholders(rule.get("data", {}))))
        types = {name: _type_of(name, rule) for name in names}
        values = {name: list(_values(file.slots[kind])) for name, kind in types.items()}
        most = max((len(one) for one in values.values()), default=1)
        for index in range(most):
            chosen = {name: one[index % len(one)] for name, one in values.items()}
            drafts.append(IntentDraft(rule["intent"], fill_data(rule.get("data", {}), chosen)))
    return drafts


def _type_of(name: str, rule: dict) -> str:
    for phrase in rule["phrases"]:
        if f"{{{name}:" in phrase:
            return phrase.split(f"{{{name}:")[1].split("}")[0]
    return name


def _values(spec: dict) -> list:
    return list(spec["values"]) if "values" in spec else list(range(spec["minimum"], spec["maximum"] + 1))


def test_every_intent_of_the_file_comes_back_when_encoded() -> None:
    drafts, allowed = data_of_intents(), AllowList.load()
    by_rules_of_labs = {"__intent_stop_device__"}  # what no phrase leads to
    assert {draft.intent for draft in drafts} == set(load_intents().intents) - by_rules_of_labs
    for draft in drafts:
        found = MarkupParser(WORDS).push(encode(WORDS, draft), Floor.HOLD, turn())
        assert found == Parsed(intents=(draft,))
    assert all(allowed.check(draft) is None for draft in drafts)


WORD = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=8)
TEXT = st.lists(WORD, min_size=1, max_size=4).map(" ".join).map(normalise).filter(bool)
NAME = WORD.map(normalise).filter(lambda name: name and "." not in name)
VALUE = st.one_of(
    TEXT.filter(lambda text: not set(text) & set("0123456789")),
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.integers(-9999, 9999).map(lambda value: value / 100),
)
RECORDS = st.one_of(
    st.builds(SpeechText, TEXT),
    st.builds(DelegationDraft, TEXT),
    st.builds(CountDraft, TEXT, st.integers(0, 10**6)),
    st.builds(
        TimerDraft, TEXT, st.integers(1, 86_400_000).map(lambda ms: ms / 1000), st.sampled_from([0.0, 1.0, 60.0])
    ),
    st.builds(
        IntentDraft, NAME, st.dictionaries(NAME, st.one_of(VALUE, st.dictionaries(NAME, VALUE, min_size=1, max_size=2)))
    ),
)


@given(RECORDS)
@settings(max_examples=200, deadline=None)
def test_record_comes_back_when_it_is_encoded(record) -> None:
    try:
        line = encode(WORDS, record)
    except ConfigError as err:
        assert "overlong" in str(err)
        return
    found = MarkupParser(WORDS).push(line, Floor.SPEAK, turn())
    records = (*found.speech, *found.delegations, *found.counts, *found.timers, *found.intents)
    assert records == (record,) and not found.counters


def test_words_come_back_when_a_transcript_is_encoded() -> None:
    event = TranscriptEvent("user", "where is the eye wash station", True, 1.0, 0, MICRO_TURN_NS)
    found = MarkupParser(WORDS).push(encode(WORDS, event), Floor.LISTEN, turn())
    assert found.transcripts == (event,)


@pytest.mark.parametrize(
    "record",
    [
        SpeechText(""),
        SpeechText(" \n"),
        SpeechText("a " * (MAX_STREAMED_TOKENS + 1)),
        DelegationDraft("\x00"),
        DelegationDraft("a " * MAX_TOKENS),
        TimerDraft("a", -1.0),
        TimerDraft("a", math.nan),
        TimerDraft("a", 5.0, 1e9),
        CountDraft("a", -1),
        IntentDraft("two words", {}),
        IntentDraft("a", {"b": None}),
        IntentDraft("a", {"b": [1]}),
        IntentDraft("a", {"b": True}),
        IntentDraft("a", {"b": "10"}),
        IntentDraft("a", {"b": 1e-12}),
        IntentDraft("a", {"b": ""}),
        IntentDraft("a", {"b": {}}),
        IntentDraft("a", {"b.c": 1}),
        IntentDraft("a", {"b": "two  blanks"}),
    ],
)
def test_error_shows_the_record_when_the_grammar_cannot_carry_it(record) -> None:
    with pytest.raises(ConfigError, match=rf"{type(record).__name__}\(.* cannot be put in the model's words"):
        encode(WORDS, record)


def test_no_floor_or_source_marker_is_read_as_structure_when_it_comes_alone() -> None:
    for marker in (*FLOOR_MARKERS, Marker.OUT, Marker.USER, Marker.SPARE_3):
        assert MarkupParser(WORDS).push([marker], Floor.SPEAK, turn()) == Parsed(counters=Counter(stray_marker=1))
    assert MarkupParser(WORDS).push([Marker.END] * 9, Floor.SPEAK, turn()) == Parsed()


def test_fields_of_parsed_are_those_of_the_output_when_compared() -> None:
    from tml_ros.records import MicroTurnOutput

    names = {field.name for field in dataclasses.fields(Parsed)} - {"counters"}
    assert names <= {field.name for field in dataclasses.fields(MicroTurnOutput)}


# ---------------------------------------------------------------------------------------------------- what never ends


def quiet(parser: MarkupParser, turns: int) -> list[Parsed]:
    return [parser.push([], Floor.SPEAK, turn(number)) for number in range(turns)]


@pytest.mark.parametrize(
    ("line", "name"),
    [("<say> hello there", "say"), ("<heard> hello there", "heard"), ("<intent> __intent_greet__ <slot>", "intent")],
)
def test_structure_ends_when_the_model_does_not_go_on_with_it(line, name) -> None:
    parser = MarkupParser(WORDS)
    parser.push(ids(line), Floor.SPEAK, turn())
    after = quiet(parser, MAX_QUIET_TURNS + 5)
    ended = [number for number, parsed in enumerate(after) if parsed.counters]
    assert ended == [MAX_QUIET_TURNS]
    assert after[MAX_QUIET_TURNS].counters == Counter({f"stalled_{name}": 1})
    ends = [speech.last for speech in after[MAX_QUIET_TURNS].speech]
    ends += [event.final for event in after[MAX_QUIET_TURNS].transcripts]
    assert ends == ([] if name == "intent" else [True])
    late = parser.push(ids("<done>"), Floor.SPEAK, turn(99))
    assert not (late.intents or late.speech or late.transcripts)


def test_structure_is_read_when_the_model_pauses_within_it() -> None:
    parser = MarkupParser(WORDS)
    parser.push(ids("<delegate> where is"), Floor.SPEAK, turn())
    assert not any(parsed.counters for parsed in quiet(parser, MAX_QUIET_TURNS - 1))
    (draft,) = parser.push(ids("the eye wash <done>"), Floor.SPEAK, turn(9)).delegations
    assert draft.task == "where is the eye wash"


@pytest.mark.parametrize(("turns", "modality"), [(1, "other"), (TYPED_TURNS - 1, "other"), (TYPED_TURNS + 1, "speech")])
def test_modality_is_that_of_what_was_typed_when_the_answer_comes_later(turns, modality) -> None:
    parser = MarkupParser(WORDS)
    parser.push([], Floor.LISTEN, turn(0, (TextInput(0, "hello", TextSource.USER),)))
    quiet(parser, turns - 1)
    (draft,) = parser.push(ids("<intent> __intent_greet__ <done>"), Floor.LISTEN, turn(turns)).intents
    assert draft.modality == modality
