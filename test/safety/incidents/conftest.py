"""A recorder on a clock that the test moves; see bench.py."""

import logging

import pytest


@pytest.fixture(scope="session")
def tools(helpers):
    """Messages as bytes, and the class of ``bench``."""
    return helpers("test/safety/incidents/bench.py")


@pytest.fixture
def bench(tmp_path, tools):
    """A recorder in an empty folder."""
    logging.getLogger("tml_ros").propagate = True  # a node in the same process may have taken the log over
    made = tools.Bench(tmp_path / "incidents")
    yield made
    made.store.close()
