"""The library of skills: plans, what must hold before them, values that are unknown, and files that are wrong."""

import copy

import pytest
import yaml

from tml_ros.background.offline.skill_phrases import SkillPhrases
from tml_ros.background.offline.skills import SkillLibrary
from tml_ros.background.offline.skills_file import load_skills
from tml_ros.errors import ConfigError
from tml_ros.intents import AllowList
from tml_ros.records import AlertState

BASE = {
    "version": 1,
    "after": "[please]",
    "slots": {"spot": {"values": {"table": ["table"], "bench": ["[work] bench"]}}},
    "skills": {
        "put_cup": {
            "description": "Put a cup somewhere.",
            "phrases": ["put [a|the] cup on the {spot}", "cup on {spot} now"],
            "preconditions": [
                {"fact": "cup_empty", "is": True, "remind": "Empty the cup.", "otherwise": "The cup is full."},
                {"no_alert": "fire", "otherwise": "There is a fire."},
            ],
            "steps": [
                {
                    "say": "The {spot}.",
                    "intent": "__intent_place_object__",
                    "data": {"object": "cup", "recipient": "{spot}"},
                },
                {"say": "Done."},
            ],
            "report": "I can put the cup on the {spot} in {count} step(s).",
        }
    },
}
EMPTY = {"facts": {"cup_empty": True}}


@pytest.fixture
def write(tmp_path):
    def write_(*changes):
        content = copy.deepcopy(BASE)
        for path, value in changes:
            here = content
            for key in path[:-1]:
                here = here[key]
            here[path[-1]] = value
        file = tmp_path / "skills.yaml"
        file.write_text(yaml.safe_dump(content))
        return file

    return write_


@pytest.fixture
def library(write, allow_list):
    return SkillLibrary(load_skills(write()), allow_list)


def test_a_plan_is_proposed_in_order_when_titration_is_prepared(ask, allow_list):
    for text in (
        "prepare station two for titration",
        "set up station two for a titration",
        "could you please prepare station two for titration",
        "um, prepare station two for the titration please",
    ):
        result = ask(text)
        assert result.data["kind"] == "plan" and result.data["skill"] == "prepare_titration"
        assert [draft.data["object"] for draft in result.intents] == [
            "goggles", "flask", "burette", "pipette", "funnel", "indicator",
        ]  # fmt: skip
        assert {draft.data["recipient"] for draft in result.intents[1:]} == {"station two"}
        assert all(allow_list.check(draft) is None for draft in result.intents)
        assert [step["intent"] for step in result.data["steps"] if "intent" in step] == [
            d.intent for d in result.intents
        ]
        assert "station two" in result.report and "six steps" in result.report


def test_every_shipped_skill_passes_the_allow_list_with_every_value(lab, allow_list):
    file = load_skills(lab / "skills.yaml")
    library, phrases = SkillLibrary(file, allow_list), SkillPhrases(file, allow_list)
    assert len(file.skills) >= 3
    for skill in file.skills:
        assignments = list(phrases.assignments(skill))
        assert assignments
        for values in assignments:
            drafts = [draft for draft in library.drafts(skill, values) if draft is not None]
            assert drafts and all(allow_list.check(draft) is None for draft in drafts)


def test_what_to_make_sure_of_is_said_when_a_fact_is_unknown(ask):
    result = ask("prepare station one for titration", {"facts": {}})
    assert result.intents and result.report.endswith("Make sure that you wear goggles.")
    assert result.data["remind"] == ["Make sure that you wear goggles."]


def test_nothing_is_reminded_when_the_fact_holds(ask):
    result = ask("prepare station one for titration", {"facts": {"goggles_on": True}})
    assert result.intents and result.data["remind"] == []


def test_no_intent_is_proposed_when_a_fact_says_otherwise(ask):
    result = ask("prepare station one for titration", {"facts": {"goggles_on": False}})
    assert result.intents == () and result.report == "Put your goggles on first."
    assert result.data["refused"] == ["Put your goggles on first."]


@pytest.mark.parametrize(
    "state", ["raised", "RAISED", "updated", "acknowledged", int(AlertState.RAISED), AlertState.RAISED]
)
def test_no_intent_is_proposed_when_an_alert_stands(library, state):
    alerts = [{"rule": "fire", "state": "cleared"}, {"rule": "fire", "state": state}]
    result = library.result("put the cup on the table", EMPTY | {"recent_alerts": alerts})
    assert result.intents == () and result.report == "There is a fire."


@pytest.mark.parametrize(
    "alerts",
    [
        [{"rule": "fire", "state": "raised"}, {"rule": "fire", "state": "cleared"}],
        [{"rule": "fire", "state": "raised"}, {"rule": "fire", "state": int(AlertState.CLEARED)}],
        [{"rule": "x", "category": "fire", "state": "RAISED"}, {"rule": "x", "state": "CLEARED"}],
        [{"rule": "smoke", "state": "raised"}],
        [None, "fire"],
        "fire",
        None,
    ],
)
def test_a_plan_is_proposed_when_no_such_alert_stands(library, alerts):
    assert library.result("put the cup on the table", EMPTY | {"recent_alerts": alerts}).intents


def test_a_category_counts_when_an_alert_has_one(library):
    context = EMPTY | {"recent_alerts": [{"rule": "x", "category": "fire", "state": "raised"}]}
    assert library.result("put the cup on the table", context).intents == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prepare station nine for titration", "station nine"),
        ("prepare the kitchen for titration", "the kitchen"),
        ("clear station four", "station four"),
    ],
)
def test_what_is_known_is_said_when_a_value_is_unknown(ask, text, said):
    result = ask(text)
    assert result.intents == ()
    assert result.report == f"I do not know {said}. I know station one, station two and station three."


def test_no_plan_is_meant_when_only_a_common_word_fits(ask):
    assert ask("get me the answer").data["kind"] != "plan"


@pytest.mark.parametrize("text", ["put the cup on the table and then run away", "cup", "", "put " * 40])
def test_no_plan_is_proposed_when_words_are_left_over(library, text):
    assert library.result(text, {}) is None


def test_the_words_of_a_slot_give_its_value_when_they_differ(library):
    assert library.result("put a cup on the work bench please", EMPTY).intents[0].data["recipient"] == "bench"


def test_slots_of_the_intents_file_can_be_used_when_the_skills_file_has_none(write, allow_list):
    file = write(
        (("skills", "put_cup", "phrases"), ["cup to {support}"]),
        (("skills", "put_cup", "steps", 0, "data", "recipient"), "{support}"),
        (("skills", "put_cup", "steps", 0, "say"), "There."),
        (("skills", "put_cup", "report"), "I put it on the {support}."),
    )
    result = SkillLibrary(load_skills(file), allow_list).result("cup to floor", EMPTY)
    assert result.intents[0].data["recipient"] == "floor" and result.report == "I put it on the floor."


SKILL = ("skills", "put_cup")
WRONG = [
    (((*SKILL, "step"), []), r"skills\.put_cup: .*'step' was unexpected.*did you mean 'steps'"),
    (((*SKILL, "steps", 0, "intnet"), "x"), r"steps\.0: .*'intnet' was unexpected.*did you mean 'intent'"),
    ((("slot",), {}), r"the file: .*'slot' was unexpected.*did you mean 'slots'"),
    ((("version",), 2), "version: 1 was expected"),
    ((("skills",), {}), "skills: "),
    (((*SKILL, "steps"), []), r"steps: .*(non-empty|too short)"),
    (((*SKILL, "steps", 0, "confidence"), 2), r"steps\.0\.confidence: 2 is greater than the maximum"),
    (((*SKILL, "preconditions", 0), {"fact": "x", "otherwise": "y"}), r"preconditions\.0: "),
    (((*SKILL, "steps", 0, "intent"), "__intent_place_objekt__"), r"put_cup\.steps\.0: '__intent_place_objekt__' is not under.*did you mean '__intent_place_object__'"),  # noqa: E501
    (((*SKILL, "steps", 0, "data", "object"), "rocket"), r"put_cup\.steps\.0: never passes the allow-list with spot = 'bench': .*'rocket'"),  # noqa: E501
    (((*SKILL, "steps", 0, "confidence"), 0.1), r"put_cup\.steps\.0: never passes.*0\.10 is below 0\.5"),
    ((("slots", "spot", "values", "moon"), ["moon"]), r"steps\.0: never passes the allow-list with spot = 'moon'"),
    (((*SKILL, "phrases"), ["cup on [the {spot}]"]), r"put_cup\.steps\.0: never passes the allow-list with no slots"),
    (((*SKILL, "phrases"), ["cup on {spott}"]), r"skills\.put_cup: no slot type 'spott'.*did you mean 'spot'"),
    (((*SKILL, "phrases"), ["cup on ({spot}"]), r"skills\.put_cup: phrase .* is never closed"),
    (((*SKILL, "report"), "On the {sport}."), r"skills\.put_cup: no phrase has a slot 'sport'.*did you mean 'spot'"),
    (((*SKILL, "phrases"), ["cup {a:number} {b:number} on {spot}"]), r"more than 2000 combinations"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_skills_file_is_refused_when_it_is_wrong(write, allow_list, change, message):
    with pytest.raises(ConfigError, match=message):
        SkillLibrary(load_skills(write(change)), allow_list)


@pytest.mark.parametrize(("text", "message"), [("{", "not valid YAML"), ("[]", "the file: "), ("", "the file: ")])
def test_a_skills_file_is_refused_when_it_is_no_mapping(tmp_path, text, message):
    file = tmp_path / "skills.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_skills(file)


def test_a_skills_file_is_refused_when_it_is_missing(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read skills file .*check the path"):
        load_skills(tmp_path / "none.yaml")


def test_the_shipped_library_is_refused_when_an_intent_is_taken_off_the_list(lab, tmp_path, repository):
    content = yaml.safe_load((repository / "config" / "intents.yaml").read_text())
    del content["intents"]["__intent_place_object__"]
    content["rules"] = [rule for rule in content["rules"] if rule.get("intent") != "__intent_place_object__"]
    file = tmp_path / "intents.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="'__intent_place_object__' is not under intents"):
        SkillLibrary(load_skills(lab / "skills.yaml"), AllowList.load(file))
