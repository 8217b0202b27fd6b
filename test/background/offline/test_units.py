"""Unit conversions in words."""

import pytest

from tml_ros.background.offline.amounts import plain
from tml_ros.background.offline.units import Converter


@pytest.fixture(scope="module")
def converter() -> Converter:
    return Converter()


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("convert two hundred fifty milliliters to liters", "250 milliliters is 0.25 liters."),
        ("how many grams are in two point five kilograms", "2.5 kilograms is 2500 grams."),
        ("what is 20 degrees celsius in fahrenheit", "20 degrees Celsius is 68 degrees Fahrenheit."),
        ("what is 68 °F in °C?", "68 degrees Fahrenheit is 20 degrees Celsius."),
        (
            "what is minus forty degrees celsius in fahrenheit",
            "Minus 40 degrees Celsius is minus 40 degrees Fahrenheit.",
        ),
        ("convert 300 kelvin to celsius", "300 kelvin is 26.85 degrees Celsius."),
        ("how many milliliters are in a liter", "1 liter is 1000 milliliters."),
        ("how many seconds are there in an hour", "1 hour is 3600 seconds."),
        ("how many inches in 2 feet", "2 feet is 24 inches."),
        ("half a liter in milliliters", "0.5 liter is 500 milliliters."),
        ("convert 25mL to L", "25 ml is 0.025 l."),
        ("what is 2 square meters in square centimeters", "2 square meters is 20000 square centimeters."),
        ("convert one cubic meter to liters", "1 cubic meter is 1000 liters."),
        ("what is 36 kilometers per hour in meters per second", "36 kilometers per hour is 10 meters per second."),
        ("how many meters per second is 36 kilometers per hour", "36 kilometers per hour is 10 meters per second."),
        ("what is 1 molar in moles per liter", "1 molar is 1 moles per liter."),
        ("convert 5 grams to kilograms please", "5 grams is 0.005 kilograms."),
    ],
)
def test_a_conversion_is_said_when_the_units_fit(converter, text, report):
    result = converter.result(plain(text))
    assert result.report == report
    assert result.data["kind"] == "conversion"


@pytest.mark.parametrize("text", ["how many grams are in a liter", "convert 5 seconds to meters", "3 celsius in grams"])
def test_it_is_refused_when_the_units_measure_different_things(converter, text):
    result = converter.result(plain(text))
    assert "do not measure the same thing" in result.report and "value" not in result.data


@pytest.mark.parametrize(
    "text",
    [
        "what is five in the morning",
        "how many drops are in two bottles",
        "convert 5 meter**99999999 to meter",
        "convert 1 __class__ to meters",
        "convert 1 to meters",
        "convert 1 per second to hertz",
        "what is 5 apples in pears",
        "where is the liter",
        "convert 1 square to cubic",
        "1 c in f",
    ],
)
def test_nothing_is_converted_when_a_word_is_no_unit(converter, text):
    assert converter.result(plain(text)) is None
