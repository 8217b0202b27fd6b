"""What docs/native.md shows and says is so."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tml_ros.cli.main import main
from tml_ros.duplex.native.markup import MarkupParser
from tml_ros.duplex.native.tokens import MARKER_NAMES, Marker
from tml_ros.records import Floor, MicroTurn


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "native.md").read_text(encoding="utf-8")


def test_lines_run_and_print_what_they_say_when_they_are_copied(page, repository):
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=repository)
    assert made.stdout.split("\n")[0] == "[2, 1]"


def test_commands_are_known_when_they_are_copied(page, tmp_path, monkeypatch, capsys):
    (block,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    commands = [line.split("#")[0].split() for line in block.splitlines()]
    assert {" ".join(command[:3]) for command in commands} == {
        "tml checkpoint info",
        "tml checkpoint make",
        "tml checkpoint mean",
        "tml replay demo_bag",  # test_model.py replays a bag
        "tml bench native",  # test/cli/test_bench.py
    }
    monkeypatch.chdir(tmp_path)
    for command in commands[:3]:
        assert main(command[1:]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["name"] == "micro"


def test_examples_of_the_grammar_are_read_when_they_are_parsed(page, vocabulary):
    ids_of = dict(zip(MARKER_NAMES, map(int, Marker), strict=True))
    examples = re.findall(r"<(?:intent|say|heard|delegate|timer|count)>.*?<done>", page)
    found = []
    for example in examples:
        ids = []
        for part in re.split(r"(<\w+>)", example):
            ids += [ids_of[part]] if part in ids_of else vocabulary.encode(part)
        parsed = MarkupParser(vocabulary).push(ids, Floor.SPEAK, MicroTurn(0, 0, 1, [], 1.0))
        assert not parsed.counters, example
        found += [*parsed.intents, *parsed.speech, *parsed.transcripts, *parsed.delegations, *parsed.timers]
        found += parsed.counts
    assert len(found) >= len(examples) == 6
    assert dict(found[0].data) == {"goal": "forward", "other_data": {"distance_m": 10}}


@pytest.mark.parametrize("name", ["native.md", "serving.md"])
def test_link_leads_to_a_file_when_it_is_followed(name, repository):
    page = (repository / "docs" / name).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in link]
    assert links
    assert [link for link in links if not (repository / "docs" / link).exists()] == []
