"""The words that the shipped vocabularies are trained on, with how often each counts.

They come from what the package says and understands (intents file, example lab), number words, and the most ordinary
English words of the PocketSphinx language model (BSD licence; words and how frequent they are, nothing else). The list
is kept in ``models/words.txt``: a tokenizer belongs to the weights that were trained with it, and must not change with
the intents file. ``python -m tml_ros.duplex.native.vocabulary_corpus`` writes the list anew, and
``Vocabulary.train(corpus_lines(), size).save(path)`` a tokenizer from it. It knows no model.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tml_ros.errors import ConfigError
from tml_ros.intents.file import IntentsFile, load_intents
from tml_ros.intents.grammar import Grammar
from tml_ros.intents.numbers import MAX_NUMBER, number_to_words
from tml_ros.intents.phrases import Choice, Maybe, Node, Series, Slot, Word, parse_phrase
from tml_ros.resources import find
from tml_ros.schema_files import read_yaml

__all__ = ["corpus_lines", "count_words", "draw_phrase"]

_WORDS_FILE = "models/words.txt"
_SAMPLES_PER_PHRASE = 60
_INTENT_WEIGHT, _LAB_WEIGHT, _NUMBER_WEIGHT = 300, 4, 20
_ORDINARY_WORDS = 2000
_NOTATION = re.compile(r"[\[\](){}|:`*#]+")
_CRUDE = re.compile(r"fuck|shit|damn|^ass$|^crap$")
_ENTRY = re.compile(r"([1-9]\d{0,6}) (\S+)")


def corpus_lines(path: Path | None = None) -> Iterator[str]:
    """Yield one line for each word of the list, the shipped one when no path is given: the word as often as it counts.

    Raises:
        ConfigError: the list is missing, or a line of it is not ``COUNT WORD``.
    """
    path = path or find(_WORDS_FILE)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"cannot read the list of words {path}: {err}; restore it") from err
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            raise ConfigError(f"{path}:{number} must be a count and a word, got {line!r:.60}; write the list anew")
        yield " ".join([entry[2]] * int(entry[1]))


def count_words(samples: int = _SAMPLES_PER_PHRASE) -> Counter[str]:
    """Collect the words and how often each counts; the same every time for the same files and language model.

    samples: requests drawn from each phrase.
    """
    counts: Counter[str] = Counter()
    file = load_intents()
    for weight, lines in (
        (1, _talk(file, samples)),
        (_INTENT_WEIGHT, iter(file.intents)),
        (_LAB_WEIGHT, _lab()),
        (_NUMBER_WEIGHT, map(number_to_words, range(MAX_NUMBER + 1))),
    ):
        for line in lines:
            for word in line.split():
                counts[word] += weight
    counts.update(_ordinary())
    return Counter({word: count for word, count in counts.items() if "<" not in word and ">" not in word})


def _talk(file: IntentsFile, samples: int) -> Iterator[str]:
    """Yield requests drawn from the phrases, each with what it leads to."""
    grammar, rng = Grammar(file), random.Random(0)
    for rule in file.rules:
        for phrase in rule.get("phrases", ()):
            for _ in range(samples):
                text = " ".join(draw_phrase(parse_phrase(phrase), file.slots, rng))
                meaning = grammar.parse(text)
                yield text
                if meaning is not None:
                    yield from (meaning.reply, meaning.intent, meaning.delegate, *_leaves(meaning.data))


def draw_phrase(node: Node, slots: Mapping[str, Mapping[str, Any]], rng: random.Random) -> Iterator[str]:
    """Yield the words of a request that a phrase covers. slots: as in the intents file."""
    if isinstance(node, Word):
        yield node.text
    elif isinstance(node, Slot):
        yield from _draw_slot(slots[node.type], slots, rng)
    elif isinstance(node, Maybe):
        if rng.random() < 0.5:
            yield from draw_phrase(node.item, slots, rng)
    elif isinstance(node, Choice):
        yield from draw_phrase(rng.choice(node.items), slots, rng)
    elif isinstance(node, Series):
        for item in node.items:
            yield from draw_phrase(item, slots, rng)


def _draw_slot(spec: Mapping[str, Any], slots: Mapping[str, Mapping[str, Any]], rng: random.Random) -> Iterator[str]:
    if "values" not in spec:
        yield _free(spec, rng)
        return
    forms: Sequence[str] = rng.choice(list(spec["values"].values()))
    yield from draw_phrase(parse_phrase(rng.choice(forms)), slots, rng)


def _free(spec: Mapping[str, Any], rng: random.Random) -> str:
    """Return a number, a time span, or other words, for a slot without a list of values."""
    if "minimum" in spec:
        return number_to_words(rng.randint(spec["minimum"], spec["maximum"]))
    if "longest_s" in spec:
        return f"{number_to_words(rng.randint(2, 60))} {rng.choice(('seconds', 'minutes'))}"
    return "the experiment"


def _leaves(data: Any, key: str = "") -> Iterator[str]:
    """Yield the dotted keys and the values of nested data."""
    if not isinstance(data, Mapping):
        yield f"{key} {data}"
        return
    for name, item in data.items():
        yield from _leaves(item, f"{key}.{name}" if key else name)


def _lab() -> Iterator[str]:
    """Yield the plans and the documents of the example lab, without the signs of their notation."""
    folder = find("config/lab")
    for text in _strings(read_yaml(folder / "skills.yaml", "skills file")):
        yield _NOTATION.sub(" ", text)
    for path in sorted((folder / "documents").glob("*.md")):
        yield _NOTATION.sub(" ", path.read_text(encoding="utf-8"))


def _strings(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for item in content.values():
            yield from _strings(item)
    elif isinstance(content, list):
        for item in content:
            yield from _strings(item)


def _ordinary() -> dict[str, int]:
    """Return the most frequent words of the recogniser's language model, the rarest of them counting once."""
    import pocketsphinx

    folder = Path(pocketsphinx.get_model_path()) / "en-us"
    path = str(folder / "en-us.lm.bin")
    model = pocketsphinx.NGramModel(pocketsphinx.Config(lm=path, loglevel="FATAL"), pocketsphinx.LogMath(), path)
    scale = pocketsphinx.LogMath()
    lines = (folder / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines()
    words = {word for line in lines if "(" not in (word := line.split()[0]) and not _CRUDE.search(word)}
    likely = sorted((-model.prob([word]), word) for word in words)[:_ORDINARY_WORDS]
    rarest = scale.exp(-likely[-1][0])
    return {word: round(scale.exp(-cost) / rarest) for cost, word in likely}


def _write(path: Path) -> None:
    ranked = sorted(count_words().items(), key=lambda item: (-item[1], item[0]))
    head = (
        "# Words that the tokenizers beside this file were trained on, and how often each counts.\n"
        "# Ordinary words: the language model of PocketSphinx, (c) Carnegie Mellon University, BSD licence.\n"
    )
    path.write_text(head + "".join(f"{count} {word}\n" for word, count in ranked), encoding="utf-8")


if __name__ == "__main__":
    _write(find("models") / "words.txt")
