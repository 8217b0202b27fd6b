"""Read and check the library of plans, ``skills.yaml``, against its schema ``config/skills.schema.json``.

What is checked here is the shape; phrases and steps are checked by ``skills``, which knows the allow-list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tml_ros.schema_files import read_checked

__all__ = ["Precondition", "Skill", "SkillsFile", "Step", "load_skills"]


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must hold: a fact has a value, or (``no_alert``) no alert of a rule or category stands, ``any`` of none."""

    otherwise: str
    fact: str = ""
    value: Any = None
    remind: str = ""
    no_alert: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. say: words for it. intent: empty when the step is only said. data: a template with ``{slot}``."""

    say: str = ""
    intent: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Skill:
    """A plan and the words that ask for it."""

    name: str
    description: str
    phrases: tuple[str, ...]
    steps: tuple[Step, ...]
    report: str
    preconditions: tuple[Precondition, ...] = ()


@dataclass(frozen=True, slots=True)
class SkillsFile:
    """The checked content. slots: as in ``intents.yaml``."""

    path: Path
    before: str
    after: str
    slots: Mapping[str, Mapping[str, Any]]
    skills: tuple[Skill, ...]


def load_skills(path: Path) -> SkillsFile:
    """Read a file.

    Raises:
        ConfigError: the file is missing, no YAML or against the schema.
    """
    content = read_checked(path, "skills file", "skills.schema.json")
    skills = tuple(_skill(name, body) for name, body in content["skills"].items())
    return SkillsFile(path, content.get("before", ""), content.get("after", ""), content.get("slots", {}), skills)


def _skill(name: str, body: Mapping[str, Any]) -> Skill:
    return Skill(
        name=name,
        description=body["description"],
        phrases=tuple(body["phrases"]),
        steps=tuple(Step(**step) for step in body["steps"]),
        report=body["report"],
        preconditions=tuple(
            Precondition(**{"value" if key == "is" else key: value for key, value in spec.items()})
            for spec in body.get("preconditions", ())
        ),
    )
