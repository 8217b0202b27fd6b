"""The index of a folder of documents."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.background import documents
from tml_ros.background.documents import DocumentIndex
from tml_ros.errors import ConfigError

MAP = """# Lab *map*

<!-- a note that nobody hears -->
The lab has one room.

## Eye wash station

The **eye wash station** is next to the [sink](http://example.org/x).
It is green.

## Spill

1. Warn people.
2. Cover it with
   bicarbonate.

Call for help.

## Things

- Gloves are in the drawer.
- Goggles are in the box.

You need:

- a flask
- a burette

| What | Where |
|------|-------|
| Cups | shelf |
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "lab_map.md").write_text(MAP)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "fire.md").write_text("Press the alarm.\n\nThe acidic waste is red.\n")
    (tmp_path / "more" / "ignored.txt").write_text("The zebra is here.")
    return tmp_path


def test_a_document_is_split_at_headings_paragraphs_and_items(folder):
    found = [(passage.source, passage.heading, passage.text) for passage in DocumentIndex(folder).passages]
    assert found == [
        ("lab_map.md", "Lab map", "The lab has one room."),
        ("lab_map.md", "Eye wash station", "The eye wash station is next to the sink. It is green."),
        ("lab_map.md", "Spill", "1. Warn people.\n2. Cover it with bicarbonate."),
        ("lab_map.md", "Spill", "Call for help."),
        ("lab_map.md", "Things", "Gloves are in the drawer."),
        ("lab_map.md", "Things", "Goggles are in the box."),
        ("lab_map.md", "Things", "You need:\na flask\na burette"),
        ("lab_map.md", "Things", "What: Where\nCups: shelf"),
        ("more/fire.md", "fire", "Press the alarm."),
        ("more/fire.md", "fire", "The acidic waste is red."),
    ]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("where is the eye wash station", "The eye wash station"),
        ("eyewash", "The eye wash station"),
        ("wheres the goggle", "Goggles are"),
        ("acid wastes", "The acidic waste"),
        ("bi carbonate", "1. Warn people."),
        ("bicarbonat", "1. Warn people."),
        ("spills", "Call for help."),
        ("burettes", "You need:"),
    ],
)
def test_the_passage_is_first_when_it_is_searched_for(folder, query, text):
    found = DocumentIndex(folder).search(query)
    assert found[0].text.startswith(text)
    assert found[0].score > 0


def test_passages_come_best_first_and_no_more_than_asked_for(folder):
    index = DocumentIndex(folder)
    found = index.search("gloves goggles drawer", 2)
    assert [passage.text for passage in found] == ["Gloves are in the drawer.", "Goggles are in the box."]
    assert found[0].score > found[1].score
    assert len(index.search("gloves goggles drawer", 1)) == 1


@pytest.mark.parametrize("query", ["", "the of and", "zebra", "?!", "\x00\ud800"])
def test_nothing_is_found_when_no_word_is_known(folder, query):
    assert DocumentIndex(folder).search(query) == ()


def test_two_indexes_agree_when_they_read_the_same_folder(folder):
    queries = ["eye wash", "acid waste alarm", "gloves goggles station"]
    assert [DocumentIndex(folder).search(q) for q in queries] == [DocumentIndex(folder).search(q) for q in queries]


def test_several_readers_find_the_same_when_they_search_at_once(folder):
    index = DocumentIndex(folder)
    queries = ["eye wash station", "goggles", "acid waste", "spill"] * 20
    expected = [index.search(query) for query in queries]
    found = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: [index.search(query) for query in queries]}))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(4)] == [expected] * 4


def test_a_rare_word_weighs_more_than_a_common_one(folder):
    index = DocumentIndex(folder)
    assert index.weight("unheard") > index.weight("burett") > index.weight("lab")


def test_nothing_is_printed_when_an_index_is_made(folder, capfd):
    DocumentIndex(folder).search("eye wash")
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""


def test_a_folder_is_refused_when_it_is_missing(tmp_path):
    with pytest.raises(ConfigError, match=r"no folder .*none.*check the path, or name none"):
        DocumentIndex(tmp_path / "none")


@pytest.mark.parametrize("content", [None, "", "# Title only\n", "<!-- nothing -->", "the of and"])
def test_a_folder_is_refused_when_it_holds_no_text(tmp_path, content):
    if content is not None:
        (tmp_path / "a.md").write_text(content)
    with pytest.raises(ConfigError, match=r"no \*\.md file below .*put .*documents there, or name none"):
        DocumentIndex(tmp_path)


def test_a_file_is_refused_when_it_is_not_utf_8(tmp_path):
    (tmp_path / "a.md").write_bytes(b"S\xe4ure")
    with pytest.raises(ConfigError, match=r"a\.md is not UTF-8 text .*at byte 1.*save it as UTF-8"):
        DocumentIndex(tmp_path)


def test_a_file_is_refused_when_it_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_FILE_BYTES", 100)
    (tmp_path / "a.md").write_text("acid " * 30)
    with pytest.raises(ConfigError, match=r"a\.md is larger than 100 bytes; split it"):
        DocumentIndex(tmp_path)


def test_a_folder_is_refused_when_all_of_it_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_TOTAL_BYTES", 250)
    for name in "abc":
        (tmp_path / f"{name}.md").write_text("acid " * 20)
    with pytest.raises(ConfigError, match="more than 250 bytes; keep fewer there"):
        DocumentIndex(tmp_path)


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet=st.sampled_from("#-*1.|: \n`<>![]()_ab\t\\&é"), max_size=300))
def test_any_document_is_read_or_refused_cleanly(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("documents")
    (folder / "a.md").write_text(text, encoding="utf-8")
    try:
        index = DocumentIndex(folder)
    except ConfigError:
        return
    assert all(passage.text.strip() for passage in index.passages)
