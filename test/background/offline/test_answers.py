"""Questions about the example lab, as a recogniser hears them, and the document that answers them."""

import itertools

import pytest
import yaml

from tml_ros.background import Cancel, ContextPackage, Surroundings
from tml_ros.background.offline import OfflineConfig, OfflineModel

QUESTIONS = [
    ("where is the eye wash station", "lab_map.md", "Eye wash station", "next to the sink"),
    ("where's the eyewash", "lab_map.md", "Eye wash station", "next to the sink"),
    ("where is the eye wash vacation", "lab_map.md", "Eye wash station", "next to the sink"),
    ("where is the safety shower", "lab_map.md", "Safety shower", "left of the main door"),
    ("where is the fire extinguisher", "lab_map.md", "Fire extinguisher and fire blanket", "hangs on the wall"),
    ("where is the fire blanket", "lab_map.md", "Fire extinguisher and fire blanket", "red box"),
    ("where can i find the first aid kit", "lab_map.md", "First aid kit", "above the sink"),
    ("where is the emergency exit", "lab_map.md", "Exits and assembly point", "behind the fume hood"),
    ("where is the fume hood", "lab_map.md", "Fume hood", "far end of the room"),
    ("where is station two", "lab_map.md", "Stations", "middle of the room"),
    ("where are the goggles", "lab_map.md", "Where things are kept", "drawer under station one"),
    ("where is the burette", "lab_map.md", "Where things are kept", "rack on the wall"),
    ("where do i charge the robot", "lab_map.md", "Charging station", "in the hall"),
    ("how do i dispose of acid waste", "waste_disposal_guide.md", "Acid waste", "red label"),
    ("how do i get rid of broken glass", "waste_disposal_guide.md", "Broken glass", "blue bin"),
    ("where do the solvents go", "waste_disposal_guide.md", "Solvents", "yellow label"),
    ("what do i do with used gloves", "waste_disposal_guide.md", "Gloves and wipes", "solid chemical waste"),
    ("when are full waste containers collected", "waste_disposal_guide.md", "Full containers", "Thursdays"),
    ("what do i do when acid gets on my skin", "emergency_procedures.md", "Acid or base on the skin", "Rinse the skin"),
    ("something got in my eye", "emergency_procedures.md", "Acid or another chemical in the eye", "Rinse the eye"),
    ("what do i do if there is a fire", "emergency_procedures.md", "Fire", "Press the fire alarm"),
    ("what do i do when i smell gas", "emergency_procedures.md", "Gas smell", "main gas valve"),
    ("the fume hood alarm sounds", "emergency_procedures.md", "Fume hood alarm", "close the sash"),
    ("there is a fire", "emergency_procedures.md", "Fire", "Press the fire alarm"),
    ("i burned my hand on the hot plate", "emergency_procedures.md", "Burns from heat", "running water"),
    ("how do i turn off the robot in an emergency", "robot_manual.md", "Emergency stop", "Press it to cut the power"),
    ("what happens if i cut myself", "emergency_procedures.md", "Cuts", "clean dressing"),
    ("can i mix hydrochloric acid with bleach", "chemical_safety_sheet.md", "Hydrochloric acid: handling", "chlorine"),
    (
        "how do i dilute hydrochloric acid",
        "chemical_safety_sheet.md",
        "Hydrochloric acid: handling",
        "acid to the water",
    ),
    ("hydro chloric acid spill", "chemical_safety_sheet.md", "Hydrochloric acid: spill", "Warn the people"),
    ("how do i store sodium hydroxide", "chemical_safety_sheet.md", "Sodium hydroxide: storage", "plastic bottles"),
    ("is sodium hydroxide dangerous", "chemical_safety_sheet.md", "Sodium hydroxide: hazards", "severe burns"),
    ("what is the end point color", "titration_procedure.md", "Titrating to the end point", "faint pink"),
    ("how many drops of indicator do i need", "titration_procedure.md", "Preparing the sample", "two or three drops"),
    ("what do i need for a titration", "titration_procedure.md", "What is needed", "a burette of 50"),
    ("how do i read the burette", "titration_procedure.md", "Filling the burette", "meniscus"),
    ("how do i do a filtration", "work_instructions.md", "Filtration", "Fold the filter paper"),
    ("how do i weigh a substance", "work_instructions.md", "Weighing", "balance"),
    ("how long does the battery last", "robot_manual.md", "Battery and charging", "four hours"),
    ("how much can the robot carry", "robot_manual.md", "What it can carry", "500 grams"),
    ("where is the emergency stop of the robot", "robot_manual.md", "Emergency stop", "red button"),
    ("when does the lab open", "lab_rules.md", "Opening hours", "eight in the morning"),
    ("is the lab open on sunday", "lab_rules.md", "Opening hours", "closed on Saturday"),
    ("can i eat in the lab", "lab_rules.md", "Food and drink", "not allowed"),
    ("may i work alone", "lab_rules.md", "Who may work here", "Nobody works alone"),
    ("what should i wear", "lab_rules.md", "Clothes", "lab coat"),
]
STRANGE = [
    "what is the capital of france",
    "who is the president",
    "where is the coffee machine",
    "where can i buy gloves",
    "what is the boiling point of gold",
    "tell me a joke",
    "play some music",
    "what is the meaning of life",
]


@pytest.mark.parametrize(("question", "file", "heading", "words"), QUESTIONS)
def test_the_passage_is_found_when_the_lab_knows(ask, question, file, heading, words):
    result = ask(question)
    assert result.data["kind"] == "answer"
    assert result.data["source"] == {"file": file, "heading": heading}
    assert words in result.data["quote"]


@pytest.mark.parametrize("question", STRANGE)
def test_nothing_is_made_up_when_the_lab_does_not_know(ask, question):
    assert ask(question).data["kind"] == "unknown"


def test_the_answer_is_one_sentence_and_its_source_when_one_sentence_answers(ask):
    result = ask("where is the eye wash station")
    assert result.report == "The eye wash station is next to the sink by the main door. That is from the lab map."
    assert result.data["quote"] == "The eye wash station is next to the sink by the main door."
    assert result.data["passages"][0]["file"] == "lab_map.md"


def test_steps_are_said_in_order_when_it_is_asked_what_to_do(ask):
    report = ask("what do i do in case of acid in the eye").report
    assert report.index("Rinse the eye") < report.index("contact lenses") < report.index("Call 112")


def test_every_task_that_the_intents_file_delegates_is_answered(ask, repository):
    content = yaml.safe_load((repository / "config" / "intents.yaml").read_text())
    tasks = [task for rule in content["rules"] if "delegate" in rule for task in _filled(rule["delegate"], content)]
    assert len(tasks) > 20
    assert [task for task in tasks if ask(task).data["kind"] == "unknown"] == []


def test_an_answer_is_cut_when_the_parameters_say_so(lab, allow_list):
    config = OfflineConfig(max_sentences=1)
    model = OfflineModel(config, Surroundings(allow_list, lab / "documents"))
    result = list(model.run(ContextPackage("what do i do if there is a fire"), Cancel()))[-1]
    assert result.data["quote"] == "Press the fire alarm beside the main door, warn everybody and call 112."


def test_more_is_unknown_when_the_coverage_is_raised(lab, allow_list):
    model = OfflineModel(OfflineConfig(min_coverage=1.0), Surroundings(allow_list, lab / "documents"))
    result = list(model.run(ContextPackage("where is the eye wash vacation"), Cancel()))[-1]
    assert result.data["kind"] == "unknown"


def _filled(task: str, content) -> list[str]:
    names = [part.split("}")[0] for part in task.split("{")[1:]]
    values = [content["slots"][name]["values"] if name in content["slots"] else ["12", "7"] for name in names]
    filled = []
    for chosen in itertools.product(*values):
        text = task
        for name, value in zip(names, chosen, strict=True):
            text = text.replace(f"{{{name}}}", value)
        filled.append(text)
    return filled
