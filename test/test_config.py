"""Declarations of parameters: what they say, what they accept, and how values and files become configurations."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.config import Parameter, check_known, declarations, flatten, from_mapping, load_parameter_file, param
from tml_ros.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Inner:
    """A group."""

    gain_db: float = param(-3.0, "Gain", unit="dB", minimum=-60, maximum=0)
    names: tuple[str, ...] = param(("a", "b"), "Names", choices=("a", "b", "c"))


@dataclass(frozen=True, slots=True)
class Outer:
    """A configuration with one of each kind."""

    count: int = param(2, "How many", unit="things", minimum=1, maximum=5)
    flag: bool = param(False, "Whether")
    mode: str = param("fast", "Which way", choices=("fast", "slow"))
    inner: Inner = field(default_factory=Inner)


def parameter(kind: type, default: Any, *, is_list: bool = False, **limits: Any) -> Parameter:
    return Parameter("group.name", kind, is_list, default, "What it does", **limits)


# -------------------------------------------------------------------------------------------------------- declarations


def test_parameters_are_listed_in_order_when_groups_are_nested() -> None:
    found = declarations(Outer)
    assert list(found) == ["count", "flag", "mode", "inner.gain_db", "inner.names"]
    assert [one.kind for one in found.values()] == [int, bool, str, float, str]
    assert found["inner.names"].is_list and not found["mode"].is_list
    assert found["inner.gain_db"].default == -3.0


def test_names_begin_with_the_prefix_when_one_is_given() -> None:
    assert list(declarations(Inner, "model")) == ["model.gain_db", "model.names"]


@pytest.mark.parametrize("hint", [dict, int | None, bytes, tuple[bytes, ...]])
def test_declaration_is_refused_when_ros_has_no_such_type(hint: Any) -> None:
    made = dataclass(type("Wrong", (), {"__annotations__": {"it": hint}, "it": param(None, "It")}))
    with pytest.raises(TypeError, match=r"Wrong\.it"):
        declarations(made)


def test_declaration_is_refused_when_its_default_breaks_it() -> None:
    with pytest.raises(ConfigError, match=r"group\.name must lie in 1\.\.5, got 0"):
        parameter(int, 0, minimum=1, maximum=5)


def test_line_tells_unit_bounds_and_choices_when_a_parameter_is_described() -> None:
    lines = [one.describe() for one in declarations(Outer).values()]
    assert lines[0] == "How many [things] (1..5)"
    assert lines[1] == "Whether"
    assert lines[2].startswith("Which way") and "one of fast, slow" in lines[2]
    assert parameter(int, 0, minimum=0).describe() == "What it does (0..)"


# ------------------------------------------------------------------------------------------------------------- check


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (float, 2.5, 2.5),
        (bool, True, True),
        (str, "3", "3"),
        (str, "", ""),
    ],
)
def test_value_is_returned_in_its_type_when_it_fits(kind: type, value: Any, expected: Any) -> None:
    checked = parameter(kind, kind()).check(value)
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 3.0),
        (int, True),
        (int, "3"),
        (int, None),
        (int, [3]),
        (float, True),
        (float, "3"),
        (float, float("nan")),
        (float, float("inf")),
        (bool, 1),
        (bool, "true"),
        (str, 3),
        (str, None),
    ],
)
def test_value_is_refused_when_its_type_is_another(kind: type, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"group\.name must be a .*the default is"):
        parameter(kind, kind()).check(value)


@given(st.integers(-100, 100), st.booleans())
def test_bounds_belong_to_the_range_when_a_value_is_checked(value: int, as_float: bool) -> None:
    one = parameter(float, 0.0, minimum=-7, maximum=11) if as_float else parameter(int, 0, minimum=-7, maximum=11)
    if -7 <= value <= 11:
        assert one.check(value) == value
    else:
        with pytest.raises(ConfigError, match=rf"-7\.\.11, got {value}"):
            one.check(value)


def test_near_choice_is_named_when_none_fits() -> None:
    with pytest.raises(ConfigError, match=r"one of fast, slow, got 'fats'; did you mean 'fast'\?"):
        declarations(Outer)["mode"].check("fats")


def test_every_item_is_checked_when_a_list_is_given() -> None:
    names = declarations(Outer)["inner.names"]
    assert names.check(["b", "c"]) == ("b", "c")
    assert names.check([]) == ()
    with pytest.raises(ConfigError, match="got 'd'"):
        names.check(["a", "d"])
    with pytest.raises(ConfigError, match=r"got 3 \(int\)"):
        parameter(str, (), is_list=True).check(["a", 3])


@pytest.mark.parametrize("value", ["abc", 3, None])
def test_list_is_expected_when_something_else_is_given(value: Any) -> None:
    with pytest.raises(ConfigError, match=f"must be a list of str, got {value!r}"):
        declarations(Outer)["inner.names"].check(value)


# ------------------------------------------------------------------------------------------- values to configurations


def test_defaults_hold_when_nothing_is_given() -> None:
    assert from_mapping(Outer, {}) == Outer()


@pytest.mark.parametrize("values", [{"inner": {"gain_db": -6}}, {"inner.gain_db": -6}], ids=["nested", "dotted"])
def test_configuration_holds_the_value_when_a_group_is_given(values: dict[str, Any]) -> None:
    assert from_mapping(Outer, values) == Outer(inner=Inner(gain_db=-6.0))


def test_configuration_is_built_when_values_carry_a_prefix() -> None:
    assert from_mapping(Outer, {"m.count": 5, "m.inner.names": ["c"]}, "m") == Outer(count=5, inner=Inner(names=("c",)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"gain": 1}}, r"unknown parameter 'inner\.gain'; did you mean 'inner\.gain_db'\?"),
        ({"zzz": 1}, r"unknown parameter 'zzz'$"),
        ({"inner": 3}, r"unknown parameter 'inner'"),
        ({"count": {"x": 1}}, r"unknown parameter 'count\.x'"),
        ({"count": 9}, r"count must lie in 1\.\.5 things, got 9; the default is 2"),
    ],
)
def test_values_are_refused_when_no_declaration_covers_them(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(Outer, values)


def test_name_passes_when_its_group_is_checked_elsewhere() -> None:
    check_known(["count", "other.x"], declarations(Outer), ["other"])
    for name in ("other", "others.x"):
        with pytest.raises(ConfigError, match=name):
            check_known([name], declarations(Outer), ["other"])


def test_groups_become_dotted_names_when_values_are_flattened() -> None:
    assert flatten({"a": 1, "b": {"c": 2, "d": {"e": [3]}}, "f.g": 4}) == {"a": 1, "b.c": 2, "b.d.e": [3], "f.g": 4}


# ------------------------------------------------------------------------------------------------------------- files


def written(folder: Path, text: str) -> Path:
    path = folder / "parameters.yaml"
    path.write_text(text, encoding="utf-8")
    return path


SECTIONS = """
/**: {ros__parameters: {count: 1, flag: true}}
interaction: {ros__parameters: {count: 2}}
/interaction: {ros__parameters: {inner: {gain_db: -1.0}}}
/**/interaction: {ros__parameters: {mode: slow}}
other: {ros__parameters: {count: 9}}
"""


def test_sections_of_the_node_apply_in_order_when_a_file_has_several(tmp_path: Path) -> None:
    values = load_parameter_file(written(tmp_path, SECTIONS), "interaction")
    assert values == {"count": 2, "flag": True, "inner.gain_db": -1.0, "mode": "slow"}


def test_every_section_applies_when_no_node_is_named(tmp_path: Path) -> None:
    assert load_parameter_file(written(tmp_path, SECTIONS))["count"] == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold 'NODE: ros__parameters: ...', got NoneType"),
        ("- 1", "got list"),
        ("a: [", "is not valid YAML"),
        ("interaction: {count: 1}", "section 'interaction' has no 'ros__parameters:' group"),
        ("interaction: 3", "section 'interaction' has no 'ros__parameters:' group"),
        ("interaction: {ros__parameters: 3}", "section 'interaction' has no 'ros__parameters:' group"),
    ],
)
def test_file_is_refused_when_it_is_not_laid_out_as_ros_wants_it(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_parameter_file(written(tmp_path, text))


def test_path_is_named_when_a_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        load_parameter_file(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_parameter_file(tmp_path)


def test_file_is_refused_when_it_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "parameters.yaml"
    path.write_bytes(b"/**: \xff\xfe")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_parameter_file(path)
