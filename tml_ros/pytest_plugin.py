"""A pytest plugin: a robot team's own bags in its own tests. It is there wherever tml_ros is installed.

    def test_greeting(tml_bag):
        tml_bag("bags/greeting")

plays the bag and fails with the first micro-turn that is not as in ``bags/greeting.golden.jsonl``. ``pytest
--tml-update`` writes these files anew. Every pytest run imports this module, so the rest is imported when it is used.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tml_ros.replay.run import ReplayResult

__all__ = ["BagCheck"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes golden files."""
    group = parser.getgroup("tml_ros", "bags of robots")
    group.addoption("--tml-update", action="store_true", help="write the golden files of tml_bag instead of comparing")


@pytest.fixture
def tml_bag(request: pytest.FixtureRequest) -> "BagCheck":
    """Play bags and hold what they give against their golden files."""
    return BagCheck(request.path.parent, is_updating=bool(request.config.getoption("--tml-update")))


class BagCheck:
    """What ``tml_bag`` is. folder: where relative paths begin, that of the test."""

    def __init__(self, folder: Path, *, is_updating: bool) -> None:
        self._folder = folder
        self._is_updating = is_updating

    def __call__(
        self,
        bag: str | Path,
        golden: str | Path | None = None,
        *,
        params: str | Path | None = None,
        model: str | None = None,
        ignore: Collection[str] = (),
    ) -> "ReplayResult":
        """Play a bag and fail the test unless it gives what its golden file says.

        Args:
            bag: path, from the test's folder on.
            golden: path; beside the bag if None.
            params: the interaction node's parameter file; as the golden file was made if None.
            model: the duplex model; likewise.
            ignore: fields that may differ, such as ``sound`` and ``digest`` on another machine.

        Returns:
            The replay, for further assertions.
        """
        from tml_ros.errors import TmlError

        result = None
        try:
            result, why = self._play(bag, golden, params, model, ignore)
        except TmlError as err:
            why = str(err)
        if result is None:
            pytest.fail(f"{bag}: {why}", pytrace=False)
        if why:
            pytest.fail(f"{bag} does not give what was expected: {why}", pytrace=False)
        return result

    def _play(
        self,
        bag: str | Path,
        golden: str | Path | None,
        params: str | Path | None,
        model: str | None,
        ignore: Collection[str],
    ) -> "tuple[ReplayResult, str]":
        """Return the replay and what is wrong with it, empty for nothing."""
        from tml_ros.replay.golden import Golden, compare, golden_path, make_golden, read_golden
        from tml_ros.replay.run import read_values

        path = self._folder / bag
        expected_path = self._folder / golden if golden is not None else golden_path(path)
        is_new = self._is_updating and not expected_path.exists()
        expected = Golden(path.name, {}, ()) if is_new else read_golden(expected_path)
        values = dict(expected.values) if params is None else read_values(self._folder / params)
        values |= {"model": model} if model else {}
        got, result = make_golden(path, replace(expected.options, values=values))
        if self._is_updating:
            got.write(expected_path)
            return result, ""
        difference = compare(expected.turns, got.turns, ignore)
        return result, str(difference) if difference else ""
