"""The offline model on the example lab that is shipped."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tml_ros.background import Cancel, ContextPackage, Result, Surroundings
from tml_ros.background.offline import OfflineConfig, OfflineModel
from tml_ros.intents import AllowList

Ask = Callable[..., Result]


@pytest.fixture(scope="session")
def lab(repository: Path) -> Path:
    return repository / "config" / "lab"


@pytest.fixture(scope="session")
def allow_list() -> AllowList:
    return AllowList.load()


@pytest.fixture(scope="session")
def model(lab: Path, allow_list: AllowList) -> OfflineModel:
    return OfflineModel(OfflineConfig(), Surroundings(allow_list, lab / "documents", lab / "skills.yaml"))


def last(model: OfflineModel, task: str, context: Mapping[str, Any] | None = None) -> Result:
    update = list(model.run(ContextPackage(task, context=context or {}), Cancel()))[-1]
    assert isinstance(update, Result)
    return update


@pytest.fixture(scope="session")
def ask(model: OfflineModel) -> Ask:
    return lambda task, context=None: last(model, task, context)
