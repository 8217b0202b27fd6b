"""Since when something is not there any more, for watchers that name what they see; blind, they cannot tell."""

from tml_ros.safety.eye import View
from tml_ros.safety.watcher import SafetyTurn

__all__ = ["Presence"]


class Presence:
    """Remembers when something was there last.

    Thread: one caller at a time.
    """

    def __init__(self) -> None:
        self._began_ns: int | None = None
        self._seen_ns: int | None = None
        self._is_blind = False
        self._has_looked = False

    def views(self, turn: SafetyTurn) -> tuple[View, ...]:
        """Take in the next turn and return the views of it in which something can be seen."""
        if self._began_ns is None:
            self._began_ns = turn.start_ns
        if turn.views:
            self._is_blind = turn.views[-1].is_blind
        return tuple(view for view in turn.views if not view.is_blind)

    def note(self, view: View, *, is_there: bool) -> None:
        """Take note of a look."""
        self._has_looked = True
        if is_there:
            self._seen_ns = view.frame.stamp_ns

    @property
    def can_tell(self) -> bool:
        """Whether there was a look, and the camera can see."""
        return self._has_looked and not self._is_blind

    def absent_s(self, now_ns: int) -> float:
        """Return the seconds since it was there, or since the beginning where it never was."""
        since_ns = self._seen_ns if self._seen_ns is not None else self._began_ns
        return (now_ns - since_ns) / 1e9 if since_ns is not None else 0.0

    def was_there(self, now_ns: int, within_s: float) -> bool:
        """Tell whether it has been there within a time."""
        return self._seen_ns is not None and now_ns - self._seen_ns <= within_s * 1e9
