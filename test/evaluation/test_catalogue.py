"""The table of measures: names that parts of the evaluation rely on, and the page that explains them."""

import re
from importlib import import_module

import pytest

from tml_ros.errors import ConfigError
from tml_ros.evaluation.catalogue import MEASURES, measure
from tml_ros.evaluation.results import Aggregate, Observation, figure


def test_measure_is_complete_when_it_is_listed():
    assert all(name == one.name and one.title and one.unit and one.source for name, one in MEASURES.items())
    assert {one.better for one in MEASURES.values()} == {"low", "high"}
    assert len({one.title for one in MEASURES.values()}) == len(MEASURES)


def test_unit_is_the_suffix_of_the_name_when_it_is_a_time():
    for name, one in MEASURES.items():
        assert (one.unit in ("s", "ms")) == name.endswith(("_s", "_ms")), name
        assert (one.aggregate is Aggregate.PER_HOUR) == name.endswith("_per_hour") == (one.unit == "1/h"), name


def test_nearest_name_is_given_when_a_measure_is_unknown():
    assert measure("pauc") is MEASURES["pauc"]
    with pytest.raises(ConfigError, match=r"'pause_tr'; did you mean 'pause_tor'"):
        measure("pause_tr")


def test_every_measure_makes_a_figure_when_there_is_one_trial():
    for name, one in MEASURES.items():
        assert figure(one, [Observation(name, 1.0), Observation("other", 7.0)]).value == 1.0


def test_page_explains_every_measure_as_the_catalogue_has_it(repository):
    lines = (repository / "docs/measures.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:5]] for line in lines if line.startswith("| `")]
    figures = {Aggregate.PER_HOUR: "per hour", Aggregate.MACRO: "macro mean"}
    assert rows == [
        [name, figures.get(one.aggregate, one.aggregate.value), one.unit, one.better] for name, one in MEASURES.items()
    ]


def test_function_exists_when_the_page_names_it(repository):
    page = (repository / "docs/measures.md").read_text(encoding="utf-8")
    named = re.findall(
        r"`(awareness|counting|fdb|intervals|proactivity|significance|understanding|words)\.(\w+)`", page
    )
    assert len(named) > 15
    assert all(hasattr(import_module(f"tml_ros.evaluation.{module}"), name) for module, name in named)
