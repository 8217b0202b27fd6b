"""The intents that a session proposes: checked against the allow-list, remembered until they expire, withdrawn in time.

Whoever suggests an intent, the model or the background model, it goes through here. Nothing here speaks or publishes.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from tml_ros.intents import AllowList
from tml_ros.records import IntentDraft, IntentProposal, MicroTurn
from tml_ros.session.names import name_in

__all__ = ["Proposals"]


@dataclass(frozen=True, slots=True)
class _Held:
    """A proposal that has not expired. utterances, task: what it rests on."""

    proposal: IntentProposal
    utterances: frozenset[int]
    task: str


class Proposals:
    """The proposals of one session. confirm_tasks: what a delegated task proposes always asks for confirmation.

    Thread: one caller at a time.
    """

    def __init__(self, session_id: str, allow_list: AllowList, *, confirm_tasks: bool = True) -> None:
        self.counters: Counter[str] = Counter()
        self._session_id = session_id
        self._allow_list = allow_list
        self._confirm_tasks = confirm_tasks
        self._held: list[_Held] = []
        self._turn_index = -1
        self._number = 0

    def propose(
        self, drafts: Iterable[IntentDraft], turn: MicroTurn, *, utterances: Collection[int] = (), task: str = ""
    ) -> list[IntentProposal]:
        """Return those that pass the allow-list, in order; count the others by reason.

        Args:
            utterances: what the robot says along with them; they go when it turns out wrong.
            task: the delegated task that they are the steps of. A later step waits for the earlier ones, so the time
                that each of them holds is added to its own. One that is refused takes all of its plan with it.
        """
        kept: list[IntentProposal] = []
        later_ns = 0
        for draft in drafts:
            rejection = self._allow_list.check(draft)
            if rejection is not None:
                self.counters["rejected_intents"] += 1
                self.counters[f"rejected_intents_{rejection.reason}"] += 1
                if task:
                    self.counters["rejected_plans"] += 1
                    return []
                continue
            proposal = self._proposal(draft, turn, later_ns, must_confirm=bool(task) and self._confirm_tasks)
            later_ns = proposal.expires_ns - turn.end_ns if task else 0
            kept.append(proposal)
        self._held = [held for held in self._held if held.proposal.expires_ns > turn.end_ns]
        self._held += [_Held(proposal, frozenset(utterances), task) for proposal in kept]
        return kept

    def withdraw(
        self, turn: MicroTurn, *, utterances: Collection[int] = (), tasks: Collection[str] = ()
    ) -> list[IntentProposal]:
        """Return, expired as of now, the proposals that rest on one of these and still held."""
        gone = [held for held in self._held if held.utterances & set(utterances) or held.task in tasks]
        self._held = [held for held in self._held if held not in gone]
        alive = [held.proposal for held in gone if held.proposal.expires_ns > turn.end_ns]
        self.counters["withdrawn_intents"] += len(alive)
        return [replace(one, stamp_ns=turn.end_ns, window_seq=turn.index, expires_ns=turn.end_ns) for one in alive]

    def _proposal(self, draft: IntentDraft, turn: MicroTurn, later_ns: int, *, must_confirm: bool) -> IntentProposal:
        rule = self._allow_list.rule(draft.intent)
        return IntentProposal(
            stamp_ns=turn.end_ns,
            intent_id=name_in(self._session_id, f"intent/{turn.index}/{self._next_number(turn.index)}"),
            session_id=self._session_id,
            window_seq=turn.index,
            expires_ns=turn.end_ns + later_ns + round(rule.ttl_s * 1e9),
            requires_confirmation=rule.requires_confirmation or must_confirm,
            intent=draft.intent,
            data=json.dumps(dict(draft.data), sort_keys=True),
            source=draft.source,
            modality=draft.modality,
            priority=draft.priority,
            confidence=float(np.float32(draft.confidence)),
        )

    def _next_number(self, turn_index: int) -> int:
        self._number = self._number + 1 if turn_index == self._turn_index else 0
        self._turn_index = turn_index
        return self._number
