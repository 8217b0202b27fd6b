"""What a model should have made of something said, and whether what it suggested is that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tml_ros.evaluation.skills.counts import Trial
from tml_ros.evaluation.skills.subject import Draft
from tml_ros.evaluation.understanding import is_same_value
from tml_ros.evaluation.words import overlap
from tml_ros.records import IntentDraft, TimerDraft

__all__ = ["Wanted", "judged"]

_ENOUGH_WORDS = 0.8


@dataclass(frozen=True, slots=True)
class Wanted:
    """An intent with all its data, or a timer."""

    intent: str = ""
    data: Mapping[str, Any] | None = None
    timer: TimerDraft | None = None

    def is_met(self, draft: Draft) -> bool:
        """Whether a draft is it: name and every slot, none more; of a timer its times and most of its words."""
        what = draft.what
        if isinstance(what, TimerDraft):
            timer = self.timer
            times = timer is not None and (timer.after_s, timer.repeat_s) == (what.after_s, what.repeat_s)
            return bool(times and timer is not None and overlap(timer.text, what.text) >= _ENOUGH_WORDS)
        if not isinstance(what, IntentDraft) or what.intent != self.intent:
            return False
        wanted, found = _flat(self.data or {}), _flat(what.data)
        return wanted.keys() == found.keys() and all(
            is_same_value(value, found[name]) for name, value in wanted.items()
        )


def judged(wanted: Wanted, drafts: Sequence[Draft], group: str, end_s: float) -> Trial:
    """Return the trial of something said, given what was suggested in its window. end_s: when its voice ended."""
    marks = [(one, wanted.is_met(one)) for one in drafts]
    first_s = next((one.at_s for one, is_right in marks if is_right), None)
    return Trial(
        group,
        tuple(one.confidence for one, is_right in marks if is_right),
        tuple(one.confidence for one, is_right in marks if not is_right),
        None if first_s is None else round(first_s - end_s, 3),
    )


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
