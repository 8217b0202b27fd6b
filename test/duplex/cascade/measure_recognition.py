"""Measure the cascade on real people and print tables for docs/recognition.md.

Run as ``python test/duplex/cascade/measure_recognition.py SHARED_DATA [cascade.PARAMETER=VALUE ...]``. Every clip goes
through the model's own steps with 0.5 s of silence before and 1 s after it, a session each.
"""

import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import soundfile

from tml_ros.duplex import SessionInfo, create_model
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import Grammar
from tml_ros.records import MICRO_TURN_NS, MICRO_TURN_SAMPLES, MicroTurn

SENTENCES = (
    "cards_001",
    "cards_002",
    "cards_003",
    "librivox_sense_and_sensibility_01_austen_64kb-0870",
    "librivox_sense_and_sensibility_01_austen_64kb-0880",
)
CARDS = ("ten of clubs", "four queen of clubs", "seven of clubs")


def hear(model, path: Path) -> tuple[str, list]:
    """Return the final words of a clip and its intents."""
    sound, rate = soundfile.read(path, dtype="float32")
    assert rate == 16_000
    sound = np.concatenate([np.zeros(8_000, np.float32), sound, np.zeros(16_000, np.float32)])
    stream = model.open(SessionInfo("measure", 0))
    words, intents = [], []
    for index in range(-(-len(sound) // MICRO_TURN_SAMPLES)):
        audio = np.zeros(MICRO_TURN_SAMPLES, np.float32)
        piece = sound[index * MICRO_TURN_SAMPLES : (index + 1) * MICRO_TURN_SAMPLES]
        audio[: len(piece)] = piece
        output = stream.step(MicroTurn(index, index * MICRO_TURN_NS, (index + 1) * MICRO_TURN_NS, audio, 1.0))
        words += [event.text for event in output.transcripts if event.final]
        intents += output.intents
    stream.close()
    return " ".join(words), intents


def word_errors(reference: str, hypothesis: str) -> int:
    """Return the Levenshtein distance in words."""
    said, heard = reference.split(), hypothesis.split()
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def sentences(model, data: Path) -> tuple[list[tuple[str, str, int]], float]:
    """Return (reference, heard, errors) for the card phrases and read sentences, and the word error rate."""
    rows = []
    for number, name in enumerate(SENTENCES):
        text = data / "commands" / f"{name}.txt"
        reference = CARDS[number] if number < len(CARDS) else text.read_text().strip()
        heard, _ = hear(model, data / "commands" / f"{name}.wav")
        rows.append((reference, heard, word_errors(reference, heard)))
    return rows, sum(row[2] for row in rows) / sum(len(row[0].split()) for row in rows)


def commands(model, data: Path, limit: int = 0) -> dict[str, Counter]:
    """Return counts by word for the dev split: tried, right, wrong (another meaning), none."""
    grammar = Grammar(load_intents())
    folder = data / "speech" / "gsc_v001_subset"
    with (folder / "labels.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "dev"]
    table: dict[str, Counter] = defaultdict(Counter)
    for row in rows:
        counts = table[row["transcript"]]
        if limit and counts["tried"] >= limit:
            continue
        wanted = grammar.parse(row["transcript"])
        heard, _ = hear(model, folder / row["path"])
        meaning = grammar.parse(heard)
        counts["tried"] += 1
        counts["is_command"] = wanted is not None
        if meaning is None:
            counts["none"] += 1
        elif wanted is not None and (meaning.intent, meaning.data, meaning.reply) == (
            wanted.intent,
            wanted.data,
            wanted.reply,
        ):
            counts["right"] += 1
        else:
            counts["wrong"] += 1
    return dict(table)


def main(data: Path, values: dict[str, str]) -> None:
    model = create_model("cascade", values)
    rows, rate = sentences(model, data)
    print("| said | heard | word errors |\n|---|---|---|")
    for reference, heard, errors in rows:
        print(f"| {reference} | {heard} | {errors} of {len(reference.split())} |")
    print(f"\nword error rate: {rate:.1%}\n\n| word | tried | right | another command | none |\n|---|---|---|---|---|")
    table = commands(model, data)
    for is_command in (1, 0):
        total: Counter = Counter()
        for word, counts in sorted(table.items()):
            if counts["is_command"] == is_command:
                total.update({name: counts[name] for name in ("tried", "right", "wrong", "none")})
                print(f"| {word} | {counts['tried']} | {counts['right']} | {counts['wrong']} | {counts['none']} |")
        name = "commands together" if is_command else "other words together"
        print(f"| **{name}** | {total['tried']} | {total['right']} | {total['wrong']} | {total['none']} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:]))
