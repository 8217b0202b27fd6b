"""Real people through the full step path; the bounds leave a margin below what docs/recognition.md reports."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def measure():
    path = Path(__file__).with_name("measure_recognition.py")
    spec = importlib.util.spec_from_file_location("measure_recognition", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_words_of_real_sentences_are_heard(cascade, measure, shared_data):
    rows, rate = measure.sentences(cascade, shared_data)
    assert all(heard for _, heard, _ in rows)
    assert rate <= 0.6


def test_one_word_commands_of_real_people_are_heard_more_often_than_not_mistaken(cascade, measure, shared_data):
    table = measure.commands(cascade, shared_data, limit=1)
    commands = [counts for counts in table.values() if counts["is_command"]]
    right, wrong = (sum(counts[name] for counts in commands) for name in ("right", "wrong"))
    assert right >= 0.3 * sum(counts["tried"] for counts in commands)
    assert right >= 2 * wrong
