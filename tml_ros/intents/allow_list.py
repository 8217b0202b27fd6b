"""The allow-list: which intents a session may propose, checked against ``intents.yaml``.

What was heard or seen is untrusted: only intents that the file names, with data that fit their schema and enough
confidence, get through. A refusal is data, so that the session can count it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jsonschema

from tml_ros.intents.file import IntentsFile, IntentSpec, load_intents
from tml_ros.records import IntentDraft

__all__ = ["AllowList", "Rejection"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an intent was refused. reason: one word, for counters."""

    reason: str
    detail: str


class AllowList:
    """The intents of one file."""

    def __init__(self, file: IntentsFile) -> None:
        self._rules = file.intents
        self._validators = {
            name: jsonschema.Draft202012Validator(spec.data_schema) for name, spec in file.intents.items()
        }

    @classmethod
    def load(cls, path: Path | None = None) -> "AllowList":
        """Read a file, the shipped one when no path is given.

        Raises:
            ConfigError: the file is missing or wrong.
        """
        return cls(load_intents(path))

    @property
    def specs(self) -> Mapping[str, IntentSpec]:
        """Every intent that may be proposed, by name."""
        return self._rules

    def rule(self, intent: str) -> IntentSpec:
        """Return what holds for an intent that ``check`` let through."""
        return self._rules[intent]

    def check(self, draft: IntentDraft) -> Rejection | None:
        """Return why a draft is refused, None when it may be proposed."""
        rule = self._rules.get(draft.intent)
        if rule is None:
            return Rejection("unknown", f"{draft.intent!r} is not on the allow-list")
        error = jsonschema.exceptions.best_match(self._validators[draft.intent].iter_errors(dict(draft.data)))
        if error is not None:
            return Rejection("data", f"{draft.intent}: {error.message}")
        if not draft.confidence >= rule.min_confidence:
            return Rejection("confidence", f"{draft.intent}: {draft.confidence:.2f} is below {rule.min_confidence}")
        return None
