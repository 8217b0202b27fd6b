"""Turn-taking on clips: how often and how soon the robot answers, and how often it cuts into a pause.

Every clip goes through the real engine offline, 20 ms of sound after the other. An answer is put on the time line where
it would leave the loudspeaker: the arrival of the sound that closed its window (transport, and whatever the assembler
waits for), then compute, then the loudspeaker's buffer. Of a turn all words count; of a pause those that begin between
its start and the person's end, once by the takeover rule and once strictly, any word at all. It judges no content.

Source: Full-Duplex-Bench v1, see fdb.py. The tables are FDB-style on our own clips, not FDB.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any, TypeAlias

import numpy as np
import yaml
from numpy.typing import NDArray

from tml_ros.background import BackgroundPort, create_background
from tml_ros.background.config import BackgroundConfig, surroundings
from tml_ros.background.inline import InlineBackground
from tml_ros.clock import BagClock
from tml_ros.evaluation.clips import VOICES, Clip, pause_clips, recorded_clips, recorded_pauses, turn_clips
from tml_ros.evaluation.fdb import Word, is_takeover, turn_taking_latency_s, words_within
from tml_ros.records import (
    MICRO_TURN_SAMPLES,
    SAMPLE_RATE_HZ,
    AudioChunk,
    SpeechCommand,
    SpeechControl,
    SpeechPiece,
    TurnMetrics,
)
from tml_ros.session.build import Assembly, build
from tml_ros.windowing import MicroTurnAssembler
from tml_ros.wire import Published

__all__ = ["Delays", "Outcome", "TurnTakingRun", "main", "score", "table"]

_CHUNK = SAMPLE_RATE_HZ // 50
_EPOCH_NS = 1_700_000_000_000_000_000
_APART_NS = 3_600_000_000_000  # between two clips: each is a session of its own
_SOUND_LEVEL = 0.004
_BASELINES = ("silence", "always_talk")
_Step: TypeAlias = tuple[float, tuple[Published, ...]]


@dataclass(frozen=True, slots=True)
class Delays:
    """Times between the model and the ears. compute_s: of one micro-turn; None takes what it really took."""

    transport_s: float = 0.040
    compute_s: float | None = 0.060
    play_out_s: float = 0.060


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a clip. words: all that the robot said, on the clip's time line."""

    clip: Clip
    words: tuple[Word, ...]

    @property
    def counted(self) -> list[Word]:
        """The words that count: of a pause, those that begin in it or before the person's end."""
        if self.clip.kind == "pause":
            return words_within(self.words, self.clip.from_s, self.clip.end_s)
        return list(self.words)

    @property
    def latency_s(self) -> float | None:
        """From the person's end to the first word; None if it did not take the turn."""
        return turn_taking_latency_s(self.counted, self.clip.end_s)

    @property
    def reply_s(self) -> float | None:
        """The same for short answers, too ("Stopping."); None if it said nothing after the person's end."""
        later = words_within(self.words, self.clip.end_s)
        return later[0].start_s - self.clip.end_s if later else None


class TurnTakingRun:
    """Runs clips through one model. values: flat parameters as for a replay. port: who works on what it hands on.

    Raises:
        ConfigError, ModelError, MissingDependencyError: the model cannot be made from the values.
    """

    def __init__(
        self, values: Mapping[str, Any], delays: Delays = Delays(), port: BackgroundPort | None = None
    ) -> None:
        self._delays = delays
        self._clock = BagClock()
        self._assembly: Assembly = build(values, self._clock, port)
        self._clips = 0

    def run(self, clip: Clip) -> Outcome:
        """Play one clip in a session of its own."""
        return self.run_with(clip, (self._delays,))[0][0]

    def run_with(self, clip: Clip, delays: Sequence[Delays]) -> tuple[list[Outcome], list[float]]:
        """Play one clip once and return what comes of it with each of the delays, and what micro-turns took, seconds.

        The first ones hold for the transport.
        """
        steps = list(self._steps(clip, delays[0].transport_s))
        return [Outcome(clip, _placed(steps, one)) for one in delays], [_measured_s(records) for _, records in steps]

    def _steps(self, clip: Clip, transport_s: float) -> Iterator[_Step]:
        """Yield when the sound of each micro-turn was there, and what was published of it."""
        begin_ns = _EPOCH_NS + self._clips * _APART_NS
        self._clips += 1
        self._assembly.engine.reset()
        assembler = MicroTurnAssembler(self._assembly.config.window)
        for first in range(0, len(clip.audio) // MICRO_TURN_SAMPLES * MICRO_TURN_SAMPLES, _CHUNK):
            arrival_s = (first + _CHUNK) / SAMPLE_RATE_HZ + transport_s
            for window in assembler.add_audio(_chunk(clip.audio, first, begin_ns)):
                self._clock.set_ns(window.turn.end_ns)
                yield arrival_s, self._assembly.engine.process(window).records

    def close(self) -> None:
        """End the session and free the model."""
        self._assembly.engine.close()
        self._assembly.model.close()


def _placed(steps: Iterable[_Step], delays: Delays) -> tuple[Word, ...]:
    """Return the words where the delays put them."""
    loudspeaker, free_s = _Loudspeaker(delays.play_out_s), 0.0
    for arrival_s, records in steps:
        took_s = _measured_s(records) if delays.compute_s is None else delays.compute_s
        free_s = max(free_s, arrival_s) + took_s
        loudspeaker.take(records, free_s)
    return tuple(loudspeaker.words())


def _measured_s(records: Iterable[Published]) -> float:
    return sum(record.inference_sec for record in records if isinstance(record, TurnMetrics))


@dataclass(slots=True)
class _Utterance:
    start_s: float
    texts: list[str] = field(default_factory=list)
    audio: list[NDArray[np.float32]] = field(default_factory=list)
    cut_s: float = float("inf")


class _Loudspeaker:
    """Plays pieces one after the other, each as soon as it can; a flush silences it at once."""

    def __init__(self, play_out_s: float) -> None:
        self._play_out_s = play_out_s
        self._until_s = 0.0
        self._played: dict[int, _Utterance] = {}

    def take(self, records: Iterable[Published], now_s: float) -> None:
        for record in records:
            if isinstance(record, SpeechControl) and record.command is SpeechCommand.FLUSH:
                for one in self._played.values():
                    one.cut_s = min(one.cut_s, now_s)
                self._until_s = min(self._until_s, now_s)
            elif isinstance(record, SpeechPiece):
                start_s = max(self._until_s, now_s + self._play_out_s)
                one = self._played.setdefault(record.utterance_id, _Utterance(start_s))
                one.texts.append(record.text)
                one.audio.append(record.audio)
                self._until_s = start_s + len(record.audio) / SAMPLE_RATE_HZ

    def words(self) -> list[Word]:
        said = [word for one in self._played.values() for word in _words(one)]
        return sorted(said, key=lambda word: word.start_s)


def _words(one: _Utterance) -> list[Word]:
    """Spread the words of an utterance over its sound by their letters; none begins after the sound was cut."""
    words = " ".join(one.texts).split()
    audio = np.concatenate(one.audio)
    loud = np.flatnonzero(np.abs(audio) > _SOUND_LEVEL)
    if not words or not len(loud):
        return []
    begin_s = one.start_s + loud[0] / SAMPLE_RATE_HZ
    length_s = (loud[-1] + 1 - loud[0]) / SAMPLE_RATE_HZ
    share = np.concatenate([[0.0], np.cumsum([len(word) for word in words])])
    times = begin_s + share / share[-1] * length_s
    pairs = zip(words, times[:-1], times[1:], strict=True)
    return [Word(word, float(at), float(min(to, one.cut_s))) for word, at, to in pairs if at < one.cut_s]


def _chunk(audio: NDArray[np.float32], first: int, begin_ns: int) -> AudioChunk:
    stamp_ns = begin_ns + first * 1_000_000_000 // SAMPLE_RATE_HZ
    data = audio[first : first + _CHUNK].astype("<f4").tobytes()
    return AudioChunk(stamp_ns, f"clip{begin_ns}", first, SAMPLE_RATE_HZ, 1, "F32LE", data)


# ---------------------------------------------------------------------------------------------------------- scores


def score(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the figures of turns and pauses.

    Returns:
        turns: n, tor, latency_median_s, latency_mean_s (where tor), answered, reply_median_s and reply_p90_s (where
        answered at all), early (first word before the person's end). pauses: n, tor, any_word, answered (after the
        end). A figure without clips is None.
    """
    turns = [one for one in outcomes if one.clip.kind == "turn"]
    pauses = [one for one in outcomes if one.clip.kind == "pause"]
    latencies = [one.latency_s for one in turns if one.latency_s is not None]
    replies = [one.reply_s for one in turns if one.reply_s is not None]
    return {
        "turns": {
            "n": len(turns),
            "tor": _share([is_takeover(one.counted) for one in turns]),
            "latency_median_s": _rounded(median(latencies)) if latencies else None,
            "latency_mean_s": _rounded(mean(latencies)) if latencies else None,
            "answered": _share([one.reply_s is not None for one in turns]),
            "reply_median_s": _rounded(median(replies)) if replies else None,
            "reply_p90_s": _rounded(float(np.quantile(replies, 0.9))) if replies else None,
            "early": _share([bool(one.words) and one.words[0].start_s < one.clip.end_s for one in turns]),
        },
        "pauses": {
            "n": len(pauses),
            "tor": _share([is_takeover(one.counted) for one in pauses]),
            "any_word": _share([bool(one.counted) for one in pauses]),
            "answered": _share([one.reply_s is not None for one in pauses]),
        },
    }


def table(rows: Mapping[str, Sequence[Outcome]]) -> str:
    """Return the figures of named groups of clips as a Markdown table."""
    turns = "turns | TOR | latency median | mean | answered | reply median | p90"
    head = f"| clips | {turns} | pauses | TOR | any word | answered |"
    lines = [head, "|---" * 12 + "|"]
    for name, outcomes in rows.items():
        figures = score(outcomes)
        cells = [*[*figures["turns"].values()][:-1], *figures["pauses"].values()]
        lines.append(f"| {name} | " + " | ".join("-" if cell is None else f"{cell:g}" for cell in cells) + " |")
    return "\n".join(lines)


def _share(hits: Sequence[bool]) -> float | None:
    return _rounded(sum(hits) / len(hits)) if hits else None


def _rounded(value: float) -> float:
    return round(value, 3)


# --------------------------------------------------------------------------------------------------------- command


def gather(splits: Sequence[str], speech: Path | None, per_word: int) -> list[Clip]:
    """Return the clips of the splits; recordings where the folder of the data sets is given."""
    clips: list[Clip] = []
    for split in splits:
        clips += [*turn_clips(split), *pause_clips(split)]
        if speech is not None:
            clips += [*recorded_clips(speech, split, per_word), *recorded_pauses(speech, split, 4 * per_word)]
    return clips


def evaluate(
    model: str,
    values: Mapping[str, Any],
    clips: Sequence[Clip],
    delays: Delays = Delays(),
    port: BackgroundPort | None = None,
) -> list[Outcome]:
    """Run clips through a model by name."""
    run = TurnTakingRun({**values, "model": model}, delays, port)
    try:
        return [run.run(clip) for clip in clips]
    finally:
        run.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of a model with the silence and always-talk baselines beside it."""
    chosen = _parser().parse_args(arguments)
    splits = [*VOICES] if chosen.split == "all" else [chosen.split.replace("-", " ")]
    clips = gather(splits, chosen.speech, chosen.per_word)
    values = {name: yaml.safe_load(value) for name, _, value in (one.partition("=") for one in chosen.set)}
    delays = Delays(compute_s=None if chosen.measured else Delays().compute_s)
    outcomes = evaluate(chosen.model, values, clips, delays, _background(chosen.model))
    rows: dict[str, Sequence[Outcome]] = {}
    for split in splits:
        for source in dict.fromkeys(clip.source for clip in clips if clip.split == split):
            rows[f"{source} ({split})"] = [o for o in outcomes if (o.clip.source, o.clip.split) == (source, split)]
        rows[f"**{chosen.model}, {split}**"] = [o for o in outcomes if o.clip.split == split]
    rows[f"**{chosen.model}, all**"] = outcomes
    for baseline in _BASELINES:
        rows[f"**{baseline}**"] = evaluate(baseline, {}, clips, delays)
    print(
        "FDB-style, our clips. Times in seconds, everything from the person's last sound to the loudspeaker counted.\n"
    )
    print(table(rows))
    if chosen.details:
        print("\n".join(_detail(outcome) for outcome in outcomes))
    if chosen.json:
        print(json.dumps({name.strip("*"): score(one) for name, one in rows.items()}))
    return 0


def _background(model: str) -> BackgroundPort | None:
    """Return who works on what a model hands on, at once and the same every time; the baselines hand on nothing."""
    if model in _BASELINES:
        return None
    return InlineBackground(create_background("offline", {}, surroundings(BackgroundConfig())))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tml_ros.evaluation.turn_taking", description=__doc__)
    parser.add_argument("--model", default="cascade", help="name of the duplex model")
    parser.add_argument("--split", choices=("all", "tuned", "held-out"), default="all", help="voices and sentences")
    parser.add_argument(
        "--speech", type=Path, help="folder of the recorded data sets; without it synthesised clips only"
    )
    parser.add_argument("--per-word", type=int, default=3, help="recordings of each word and data set")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the model")
    parser.add_argument("--measured", action="store_true", help="take the compute time really spent, not 60 ms")
    parser.add_argument("--details", action="store_true", help="also print every clip")
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON at the end")
    return parser


def _detail(outcome: Outcome) -> str:
    clip = outcome.clip
    said = " ".join(f"{word.text}@{word.start_s - clip.end_s:+.2f}" for word in outcome.words[:8])
    return f"{clip.kind:5s} {clip.source:20s} {clip.text:44s} {said}"


if __name__ == "__main__":
    raise SystemExit(main())
