"""The vocabulary: markers apart from text, words that stream, files that are checked."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.duplex.native.tokens import MARKER_NAMES, Marker
from tml_ros.duplex.native.vocabulary import Vocabulary, normalise, split_words, to_text
from tml_ros.duplex.native.vocabulary_corpus import corpus_lines, count_words
from tml_ros.errors import ConfigError, ModelError
from tml_ros.intents import load_intents
from tml_ros.resources import find

TINY = Vocabulary.load(find("models/tiny/tokenizer.json"))
SHIPPED = {"tiny": TINY, "micro": Vocabulary.load(find("models/micro/tokenizer.json"))}


@pytest.mark.parametrize("name", SHIPPED)
def test_size_is_that_of_the_preset_when_loaded(name) -> None:
    shape = yaml.safe_load(find(f"models/{name}/config.yaml").read_text())["shape"]
    assert SHIPPED[name].size == shape["vocabulary"]


@given(st.text())
def test_text_comes_back_when_encoded_and_decoded(text) -> None:
    ids = TINY.encode(text)
    assert TINY.decode(ids) == normalise(text)
    assert all(TINY.is_piece(token) for token in ids)


@given(st.lists(st.sampled_from([*MARKER_NAMES, "<", ">", "intent", "done", "a", " ", "\n"]), max_size=12))
def test_markers_are_plain_characters_when_they_come_from_outside(parts) -> None:
    text = "".join(parts)
    for vocabulary in SHIPPED.values():
        ids = vocabulary.encode(text)
        assert all(token >= len(Marker) for token in ids)
        assert vocabulary.decode(ids) == normalise(text)


@given(st.text(), st.text())
def test_pieces_of_two_texts_are_those_of_both_when_encoded_apart(first, second) -> None:
    assert TINY.encode(first) + TINY.encode(second) == TINY.encode(f"{first} {second}")


@given(st.text(), st.integers(1, 9))
def test_words_are_whole_when_streamed_in_chunks(text, chunk) -> None:
    ids, rest, words = TINY.encode(text), b"", []
    for start in range(0, len(ids), chunk):
        new, rest = split_words(rest + b"".join(map(TINY.piece, ids[start : start + chunk])))
        words += new.split()
    assert (words, rest) == (normalise(text).split(), b"")


@given(st.lists(st.integers(len(Marker), TINY.size - 1)))
def test_text_has_no_broken_characters_when_pieces_are_random(ids) -> None:
    data = b"".join(map(TINY.piece, ids))
    words, rest = split_words(data)
    text = TINY.decode(ids)

    assert normalise(text) == text and "\ufffd" not in text
    assert normalise(f"{words} {to_text(rest)}") == text
    text.encode()


def test_controls_and_surrogates_go_when_text_holds_them() -> None:
    assert TINY.decode(TINY.encode("stop\x00\x1b[31m\ud800 now\t\u00a0please\n")) == "stop[31m now please"


@pytest.mark.parametrize("token", [*Marker, -1, 512, 10**9])
def test_error_names_the_token_when_it_is_no_text(token) -> None:
    with pytest.raises(ModelError, match=rf"token {int(token)} is no text, expected 24..511"):
        TINY.decode([token])


def test_markers_are_shown_by_name_when_ids_are_printed() -> None:
    ids = [Marker.SAY, *TINY.encode("moving forward"), Marker.DONE, 4096]
    assert TINY.show(ids) == "<say> moving forward <done> <4096?>"


@pytest.mark.parametrize("name", ["tiny", "micro"])
def test_shipped_file_is_made_again_bit_for_bit_when_trained_on_the_shipped_words(name, tmp_path) -> None:
    Vocabulary.train(corpus_lines(), SHIPPED[name].size).save(tmp_path / "tokenizer.json")
    assert (tmp_path / "tokenizer.json").read_bytes() == find(f"models/{name}/tokenizer.json").read_bytes()


def test_file_is_the_same_when_trained_in_another_process(repository, tmp_path) -> None:
    script = (
        "import sys, pathlib; from tml_ros.duplex.native.vocabulary import Vocabulary;"
        "Vocabulary.train(['go go going', 'gone home home'], 290).save(pathlib.Path(sys.argv[1]))"
    )
    digests = set()
    for seed in ("1", "2"):
        path = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(repository)}
        subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=True, timeout=60)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_names_of_intents_are_few_pieces_when_encoded() -> None:
    for name in set(load_intents().intents) - {"__intent_stop_device__"}:  # which no phrase leads to
        assert len(SHIPPED["micro"].encode(name)) <= 2
        assert len(TINY.encode(name)) <= 2


def test_words_of_the_intents_file_are_in_the_list_when_it_is_collected() -> None:
    pytest.importorskip("pocketsphinx", reason="the ordinary words come from its language model")
    counts = count_words(samples=3)
    assert {"forward", "station", "burette", "__intent_move_by__", "other_data.distance_m", "ninety", "because"} <= set(
        counts
    )
    assert not any("<" in word or ">" in word for word in counts)


@pytest.mark.parametrize("line", ["word", "0 word", "3 two words", "x 4"])
def test_error_names_the_line_when_the_list_of_words_is_wrong(line, tmp_path) -> None:
    (tmp_path / "words.txt").write_text(f"# head\n{line}\n")
    with pytest.raises(ConfigError, match=r"words.txt:2 must be a count and a word"):
        list(corpus_lines(tmp_path / "words.txt"))


def test_error_asks_for_more_when_the_size_does_not_fit_the_text() -> None:
    with pytest.raises(ConfigError, match="at least 280 ids"):
        Vocabulary.train(["go"], 279)
    with pytest.raises(ConfigError, match="wanted 400; give more text"):
        Vocabulary.train(["go"], 400)


def broken() -> dict[str, tuple[str, str]]:
    """Contents of a file that is wrong in one way each, and what the message says."""
    content = find("models/tiny/tokenizer.json").read_text()
    file = json.loads(content)

    def changed(**model: object) -> str:
        return json.dumps({**file, "model": {**file["model"], **model}})

    vocabulary, merges = file["model"]["vocab"], file["model"]["merges"]
    swapped = {**vocabulary, "<end>": 1, "<out>": 0}
    foreign = {name: index for name, index in zip(list(vocabulary)[24:], range(488), strict=True)}
    gap = {name: index + (index > 300) for name, index in vocabulary.items()}
    added = [{"id": 8, "content": "<intent>", "special": True}]
    forged = [*merges, ["<intent", ">"]]
    return {
        "empty": ("", "cut off or no tokenizer"),
        "truncated": (content[: len(content) // 2], "cut off or no tokenizer"),
        "no tokenizer": ("[1, 2]", "cut off or no tokenizer"),
        "no merges": (json.dumps({**file, "model": {"vocab": vocabulary}}), "cut off or no tokenizer"),
        "other kind": (changed(type="Unigram"), "expected a BPE without added tokens"),
        "added tokens": (json.dumps({**file, "added_tokens": added}), "expected a BPE without added tokens"),
        "swapped markers": (changed(vocab=swapped), "expected the markers"),
        "no markers": (changed(vocab=foreign, merges=merges), "expected the markers"),
        "gap": (changed(vocab=gap), "expected ids without gaps"),
        "text ids": (changed(vocab={**vocabulary, "a": "x"}), "expected ids without gaps"),
        "forged marker": (changed(merges=forged), "expected merges of pieces"),
        "lost merges": (changed(merges=merges[:-3]), "pieces"),
        "unknown symbol": (changed(vocab={**vocabulary, "日": 512}), "byte symbols"),
    }


@pytest.mark.parametrize("what", broken())
def test_error_is_clear_when_a_file_is_wrong(what, tmp_path) -> None:
    content, message = broken()[what]
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=rf"tokenizer.json is .*{message}.*restore the file"):
        Vocabulary.load(tmp_path / "tokenizer.json")


def test_error_is_clear_when_a_file_cannot_be_read_or_written(tmp_path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="no UTF-8 text"):
        Vocabulary.load(tmp_path / "binary")
    with pytest.raises(ModelError, match=r"cannot read tokenizer .*absent"):
        Vocabulary.load(tmp_path / "absent")
    with pytest.raises(ModelError, match="cannot write tokenizer"):
        TINY.save(tmp_path / "no" / "folder")
