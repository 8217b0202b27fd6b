"""Item 1: one-word commands of real people in long streams of real noise, and false intents where nobody commands.

A word is right when its intent is suggested from its onset to 1.5 s after its end and no other intent is. Words that
mean nothing lie between them. Whatever is suggested in talk and noise is false. With the confidence of everything kept,
each threshold gives one point of the curve.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tml_ros.duplex.native.config import NativeConfig
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.skills.bench import Bench
from tml_ros.evaluation.skills.counts import Trial, counted, curve, grouped, middle, operating_points, point
from tml_ros.evaluation.skills.material import Material, Row
from tml_ros.evaluation.skills.meaning import Wanted, judged
from tml_ros.evaluation.skills.streams import chunks, need, placed_stream, recorded, talk_stream
from tml_ros.evaluation.skills.subject import Subject
from tml_ros.intents import Grammar, load_intents

__all__ = ["Commands"]

SNR_DB = 10.0
WITHIN_S = 1.5
LIMITS = (1.0, 3.0)
WANTED, MILESTONE = 0.9, 0.8
_WORDS, _TALKS = 40, 12  # in a stream
_GAP_S = (2.2, 3.4)
_MOST_PER_WORD, _MOST_OTHERS = 40, 100
_MOST_TALK = 4  # times the limit, where there is one


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one stream. strays: confidences in a stream of words of what belongs to none of them.

    own: the threshold that the model is used with.
    """

    words: list[Trial] = field(default_factory=list)
    others: list[Trial] = field(default_factory=list)
    strays: list[float] = field(default_factory=list)
    false: list[float] = field(default_factory=list)
    word_s: float = 0.0
    talk_s: float = 0.0
    own: float = 0.0


class Commands:
    """One-word commands."""

    name, number, alone = "commands", 1, False

    def pieces(self, material: Material) -> int:
        """Return the number of streams.

        Raises:
            InputError: there is no command in the split.
        """
        return len(_word_streams(material)) + len(_talk_streams(material))

    def play(self, material: Material, number: int, bench: Bench, label: str) -> Part:
        """Let a model hear one stream."""
        subject = bench.take("any", label, lambda spec: Subject(_open(spec)))
        own = bench.take("threshold", label, _Threshold).value
        words = _word_streams(material)
        if number < len(words):
            return replace(_hear_words(subject, words[number], material, number), own=own)
        return replace(_hear_talk(subject, material, number - len(words)), own=own)

    def figures(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return the figures of a model."""
        words, false, minutes = _counts(parts)
        points = curve(words, false, minutes)
        best, milestone = operating_points(points, LIMITS)
        enough = [one for one in points if one["hits"] >= WANTED * one["trials"]]
        threshold = best["threshold"] if best else float("inf")
        shown = best or {**counted(0, len(words)), "threshold": None, "false": None, "false_per_10_min": None}
        return {
            **shown,
            "minutes": round(minutes, 2),
            "milestone": milestone,
            "at_own_threshold": point(words, false, minutes, max((part.own for part in parts), default=0.0)),
            "chosen_on_the_other_half": _crossed(parts),
            "fewest_false_at_90_percent": min(enough, key=lambda one: one["false"], default=None),
            "by_word": grouped(words, threshold),
            "late_s": middle(one.late_s for one in words),
            **_between(parts, threshold),
            "curve": points,
        }

    def is_met(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figures of a model are as good as wanted."""
        return (figures["figure"] or 0.0) >= WANTED


class _Threshold:
    """The threshold that a model is used with, without the model."""

    def __init__(self, spec: ModelSpec) -> None:
        default = NativeConfig().intent_threshold if spec.model == "native" else 0.0
        self.value = float(spec.values.get("native.intent_threshold", default))

    def close(self) -> None:
        """Do nothing."""


def _crossed(parts: Sequence[Part]) -> dict[str, Any]:
    """Return what each half of the streams gives at the threshold that fits the other half best, both together."""
    words, talks = ([one for one in parts if bool(one.talk_s) is is_talk] for is_talk in (False, True))
    halves = [[*words[which::2], *talks[which::2]] for which in (0, 1)]
    hits = trials = false = 0
    minutes = 0.0
    for here, there in (halves, halves[::-1]):
        best = operating_points(curve(*_counts(there)), LIMITS[:1])[0]
        found = point(*_counts(here), best["threshold"] if best else float("inf"))
        hits, trials, false = hits + found["hits"], trials + found["trials"], false + found["false"]
        minutes += _counts(here)[2]
    return {**counted(hits, trials), "false": false, "minutes": round(minutes, 2)}


def _counts(parts: Sequence[Part]) -> tuple[list[Trial], list[float], float]:
    """Return trials, confidences of what is false, and the minutes of these."""
    words = [one for part in parts for one in part.words]
    false = [value for part in parts for value in part.false]
    return words, false, sum(part.talk_s for part in parts) / 60.0


def _open(spec: ModelSpec) -> ModelSpec:
    """Let every intent through, whatever its confidence."""
    values = dict(spec.values)
    if spec.model == "native":
        values["native.intent_threshold"] = 0.0
    return replace(spec, values=values)


def _between(parts: Sequence[Part], threshold: float) -> dict[str, Any]:
    """Return what was suggested for words that mean nothing, and for none at all, from a threshold on."""
    others = [any(value >= threshold for value in one.wrong) for part in parts for one in part.others]
    strays = sum(value >= threshold for part in parts for value in part.strays)
    minutes = sum(part.word_s for part in parts) / 60.0
    return {
        "other_words_taken_for_commands": counted(sum(others), len(others)),
        "between_words": {"false": strays, "minutes": round(minutes, 2)},
    }


@functools.lru_cache(maxsize=1)
def _grammar() -> Grammar:
    return Grammar(load_intents())


@functools.lru_cache(maxsize=1024)
def _wanted(text: str) -> Wanted | None:
    """Return what a word means; None if it is no command."""
    meaning = _grammar().parse(text)
    return Wanted(meaning.intent, meaning.data) if meaning is not None and meaning.intent else None


@functools.lru_cache(maxsize=4)
def _word_streams(material: Material) -> list[list[Row]]:
    single = [row for row in material.rows(material.speech) if row.text.isalpha()]
    commands = _limited([row for row in single if _wanted(row.text)], material.limit or _MOST_PER_WORD)
    need(commands, "one-word commands", material)
    others = [row for row in single if _grammar().parse(row.text) is None]
    most = _MOST_OTHERS if material.limit is None else min(_MOST_OTHERS, len(commands) // 4)
    drawn = [row for part in chunks(others, max(1, len(others)), 1) for row in part][:most]
    return chunks([*commands, *drawn], _WORDS, 2)


def _limited(rows: Sequence[Row], limit: int) -> list[Row]:
    """Return at most so many recordings of each word, of every speaker one first."""
    seen: dict[tuple[str, str], int] = {}
    ranked = []
    for place, row in enumerate(rows):
        seen[row.text, row.speaker] = rank = seen.get((row.text, row.speaker), 0) + 1
        ranked.append((rank, place, row))
    taken: dict[str, int] = {}
    kept = []
    for _, _, row in sorted(ranked, key=lambda one: one[:2]):
        taken[row.text] = taken.get(row.text, 0) + 1
        if taken[row.text] <= limit:
            kept.append(row)
    return kept


@functools.lru_cache(maxsize=4)
def _talk_streams(material: Material) -> list[tuple[list[Row], float | None]]:
    """Return talk and noise, as they are and, the talk, with noise under it."""
    talk, noise = [*material.kind("conversation"), *material.kind("speech")], material.kind("noise")
    if material.limit is not None:
        talk, noise = talk[:: max(1, len(talk) // (_MOST_TALK * material.limit))], noise[: material.limit]
    clear = [(part, None) for part in chunks([*talk, *noise], _TALKS, 3)]
    return clear + [(part, SNR_DB) for part in chunks(talk, _TALKS, 4)]


def _hear_words(subject: Subject, rows: list[Row], material: Material, seed: int) -> Part:
    stream = placed_stream(recorded(rows), material.kind("noise"), _GAP_S, SNR_DB, seed)
    heard, part = subject.play(stream), Part(word_s=stream.seconds)
    taken = []
    for one in stream.placed:
        drafts = heard.within(one.start_s, one.end_s + WITHIN_S)
        taken += drafts
        wanted = _wanted(one.text)
        trial = judged(wanted or Wanted(), drafts, one.text, one.end_s)
        (part.words if wanted else part.others).append(trial)
    part.strays.extend(one.confidence for one in heard.actions() if one not in taken)
    return part


def _hear_talk(subject: Subject, material: Material, number: int) -> Part:
    rows, snr_db = _talk_streams(material)[number]
    stream = talk_stream(rows, material.kind("noise"), snr_db, number)
    heard = subject.play(stream)
    return Part(false=[one.confidence for one in heard.actions()], talk_s=stream.seconds)
