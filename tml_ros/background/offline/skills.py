"""Plans from a library: what must hold before one, and its steps as intents.

Intents come from the library only: slots take only the values that are listed, and every step was checked against the
allow-list with every value when the library was read. Nothing is carried out here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tml_ros.background.offline.skill_phrases import Request, SkillPhrases, UnknownValue
from tml_ros.background.offline.skills_file import Precondition, Skill, SkillsFile, Step
from tml_ros.background.protocol import Result
from tml_ros.errors import ConfigError, nearest_name
from tml_ros.intents import AllowList
from tml_ros.intents.templates import fill_data, fill_reply
from tml_ros.records import AlertState, IntentDraft

__all__ = ["SkillLibrary"]

_CLEARED = {"cleared", str(int(AlertState.CLEARED))}
_ANY_ALERT = "any"


class SkillLibrary:
    """The plans of one file.

    Thread: any; nothing changes after it was made.
    """

    def __init__(self, file: SkillsFile, allow_list: AllowList) -> None:
        """Read every phrase and try every step with every value of its slots.

        Raises:
            ConfigError: a phrase cannot be read, a slot is not there, or a step does not pass the allow-list.
        """
        self._allow_list = allow_list
        self._phrases = SkillPhrases(file, allow_list)
        for skill in file.skills:
            for values in self._phrases.assignments(skill):
                _check_steps(f"{file.path}: skills.{skill.name}", skill, values, allow_list)

    def result(self, text: str, context: Mapping[str, Any]) -> Result | None:
        """Return the plan that a text asks for, or words why there is none; None when it asks for no plan.

        Args:
            text: the person's words.
            context: of ``ContextPackage``; ``facts`` and ``recent_alerts`` are read.
        """
        found = self._phrases.parse(text)
        if isinstance(found, UnknownValue):
            return _unknown(found)
        return None if found is None else self._plan(found, context)

    def drafts(self, skill: Skill, values: Mapping[str, Any]) -> tuple[IntentDraft | None, ...]:
        """Return the intent of every step, None for one that is only said."""
        return tuple(_draft(step, values, self._allow_list) for step in skill.steps)

    def _plan(self, request: Request, context: Mapping[str, Any]) -> Result:
        skill, values = request.skill, request.values
        data: dict[str, Any] = {"kind": "plan", "skill": skill.name, "slots": dict(values), "steps": []}
        refused = [fill_reply(item.otherwise, values) for item in skill.preconditions if _is_broken(item, context)]
        if refused:
            return Result(" ".join(refused), data | {"refused": refused})
        drafts = tuple(zip(skill.steps, self.drafts(skill, values), strict=True))
        intents = tuple(draft for _, draft in drafts if draft is not None)
        remind = [fill_reply(item.remind, values) for item in skill.preconditions if _is_open(item, context)]
        report = fill_reply(skill.report, {**values, "count": len(intents)})
        steps = [_described(step, draft, values) for step, draft in drafts]
        return Result(" ".join([report, *remind]), data | {"steps": steps, "remind": remind}, intents)


def _check_steps(where: str, skill: Skill, values: Mapping[str, Any], allow_list: AllowList) -> None:
    for number, step in enumerate(skill.steps):
        if step.intent and step.intent not in allow_list.specs:
            hint = nearest_name(step.intent, allow_list.specs)
            raise ConfigError(
                f"{where}.steps.{number}: {step.intent!r} is not under intents: of the intents file{hint}"
            )
        draft = _draft(step, values, allow_list)
        rejection = None if draft is None else allow_list.check(draft)
        if rejection is not None:
            said = ", ".join(f"{name} = {value!r}" for name, value in values.items()) or "no slots"
            raise ConfigError(
                f"{where}.steps.{number}: never passes the allow-list with {said}: {rejection.detail}; "
                "change the step, the slot's values or the intents file"
            )


def _draft(step: Step, values: Mapping[str, Any], allow_list: AllowList) -> IntentDraft | None:
    if not step.intent:
        return None
    priority = allow_list.rule(step.intent).priority
    return IntentDraft(step.intent, fill_data(step.data, values), step.confidence, priority=priority)


def _described(step: Step, draft: IntentDraft | None, values: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"say": fill_reply(step.say, values)} if step.say else {}
    return said if draft is None else said | {"intent": draft.intent, "data": dict(draft.data)}


def _unknown(found: UnknownValue) -> Result:
    words = f"I do not know {found.said}. I know {_listed(found.known)}."
    data = {"kind": "plan", "skill": found.skill.name, "slots": {}, "steps": [], "refused": [words]}
    return Result(words, data)


def _is_broken(item: Precondition, context: Mapping[str, Any]) -> bool:
    """Return whether a fact says otherwise, or an alert stands."""
    if item.no_alert:
        return any(item.no_alert in (_ANY_ALERT, *names) for names in _standing_alerts(context))
    facts = _facts(context)
    return item.fact in facts and facts[item.fact] != item.value


def _is_open(item: Precondition, context: Mapping[str, Any]) -> bool:
    return bool(item.fact) and item.fact not in _facts(context)


def _facts(context: Mapping[str, Any]) -> Mapping[str, Any]:
    facts = context.get("facts")
    return facts if isinstance(facts, Mapping) else {}


def _standing_alerts(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return rule and category of every alert whose newest state is not cleared; the context has the oldest first."""
    alerts = context.get("recent_alerts")
    newest: dict[str, tuple[str, str]] = {}
    for alert in alerts if isinstance(alerts, Sequence) else ():
        if isinstance(alert, Mapping):
            rule = str(alert.get("rule", ""))
            category, state = (str(alert.get(name, "")) for name in ("category", "state"))
            newest[rule] = (category or newest.get(rule, ("", ""))[0], state.lower())
    return [(rule, category) for rule, (category, state) in newest.items() if state not in _CLEARED]


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
