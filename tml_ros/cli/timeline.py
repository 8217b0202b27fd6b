"""Show a run in the terminal while it goes on: what is heard, who has the floor, what is said, what is proposed.

In a terminal a short table scrolls in place; elsewhere (a pipe, a CI log) every micro-turn in which something happened
is one line and the silent ones are counted. It knows no session: it is fed the rows of a RunLog.
"""

import time
from collections import deque
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tml_ros.records import MICRO_TURN_NS
from tml_ros.replay.figures import conversation, count_rows, echo_rows, latency_spreads, printable
from tml_ros.replay.runlog import RunLog, TurnRow

__all__ = ["Timeline", "plain_line", "summary_tables"]

_ROWS = 15
_SHORT_SILENCE = 5
_MOST_SENTENCES = 40
_REFRESH_S = 0.1
_TURN_S = MICRO_TURN_NS / 1e9
_STILL_TALKING = frozenset({"SPEAKING", "PAUSING"})
_FLOOR_STYLES = {"speak": "yellow", "backchannel": "yellow", "yield": "bold", "listen": "cyan", "hold": "dim"}


class Timeline:
    """A live view of micro-turns; use it as a context manager so that the terminal is given back on an error."""

    def __init__(self, console: Console | None = None) -> None:
        """Draw on ``console`` (default: stdout); what is no terminal gets plain lines."""
        self._console = console or Console(highlight=False)
        self._plain = not self._console.is_terminal or self._console.is_dumb_terminal
        self._rows: deque[tuple[TurnRow, str]] = deque(maxlen=_ROWS)
        self._live: Live | None = None
        self._drawn_at = 0.0
        self._before: TurnRow | None = None
        self._known = ""
        self._silent = 0

    def __enter__(self) -> "Timeline":
        """Return itself; the terminal is taken at the first micro-turn."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self._stop()

    def update(self, turn: TurnRow) -> None:
        """Take in the next micro-turn."""
        heard = self._new_words(turn)
        if self._plain:
            self._print_line(turn, heard)
        else:
            self._rows.append((turn, heard))
            self._draw()
        self._before = turn

    def finish(self, log: RunLog) -> None:
        """Close the view and print what was said, the counts and the latencies of the run."""
        self._stop()
        for table in summary_tables(log):
            self._console.print(table)

    def _new_words(self, turn: TurnRow) -> str:
        """Return what was heard beyond the partial transcript before it."""
        known, heard = self._known, printable(turn.heard)
        if not heard and turn.user_state not in _STILL_TALKING:
            self._known = ""
        elif heard:
            self._known = heard
        if known and heard.startswith(known):
            rest = heard[len(known) :].strip()
            return f"… {rest}" if rest else ""
        return heard

    def _print_line(self, turn: TurnRow, heard: str) -> None:
        line = plain_line(turn, heard, self._before)
        if line is None:
            self._silent += 1
            return
        self._print_silence()
        self._console.print(Text(line), soft_wrap=True)

    def _print_silence(self) -> None:
        if self._silent >= _SHORT_SILENCE:
            seconds = self._silent * _TURN_S
            self._console.print(Text(f"{'':8}  ... nothing new for {seconds:.1f} s ({self._silent})"), soft_wrap=True)
        self._silent = 0

    def _draw(self) -> None:
        now = time.monotonic()
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        elif now - self._drawn_at < _REFRESH_S:
            return
        self._drawn_at = now
        self._live.update(_rows_table(self._rows), refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.update(_rows_table(self._rows), refresh=True)
            self._live.stop()
            self._live = None
        self._print_silence()


def plain_line(turn: TurnRow, heard: str, before: TurnRow | None) -> str | None:
    """Return one line on a micro-turn, or None where nothing happened in it.

    Args:
        turn: the micro-turn.
        heard: the words that are new in it.
        before: the micro-turn before it; a change of floor is worth a line.
    """
    parts = [f"heard: {heard}"] if heard else []
    parts += [f"said: {printable(turn.said)}"] if turn.said else []
    parts += [f"intent: {printable(intent)}" for intent in turn.intents]
    parts += [f"alert (advisory): {printable(alert)}" for alert in turn.alerts]
    parts += _problems(turn)
    if turn.overlap and not (before and before.overlap):
        parts.append("both talk")
    if not parts and before is not None and before.floor == turn.floor:
        return None
    return f"{turn.end_s:7.1f}s  {turn.floor:<11} {' | '.join(parts)}".rstrip()


def summary_tables(log: RunLog) -> tuple[Table, Table, Table]:
    """Return what was said last, the counts and the latencies of a run as tables."""
    talk = Table("time", "who", "words", "", title="conversation", title_justify="left")
    for start_s, who, text, note in conversation(log)[-_MOST_SENTENCES:]:
        style = "cyan" if who == "person" else "yellow"
        talk.add_row(f"{start_s:.1f} s", Text(who, style=style), Text(printable(text)), Text(note))
    counts = Table("what", title="counts", title_justify="left")
    counts.add_column("count", justify="right")
    for name, count in (*count_rows(log), *echo_rows(log)):
        counts.add_row(Text(printable(name)), str(count))
    latencies = Table("latency, ms", title="latencies", title_justify="left")
    for name in ("n", "p50", "p95", "p99", "max"):
        latencies.add_column(name, justify="right")
    for spread in latency_spreads(log):
        latencies.add_row(*spread.cells())
    return talk, counts, latencies


def _problems(turn: TurnRow) -> list[str]:
    problems = [f"{turn.missing_samples} samples missing"] if turn.missing_samples else []
    problems += [f"{turn.late_messages} late"] if turn.late_messages else []
    return problems + ([f"deadline missed ({turn.inference_ms:.0f} ms)"] if turn.deadline_missed else [])


def _rows_table(rows: deque[tuple[TurnRow, str]]) -> Table:
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column("time", justify="right", no_wrap=True, width=8)
    table.add_column("floor", no_wrap=True, width=11)
    table.add_column("heard", style="cyan", no_wrap=True, ratio=4)
    table.add_column("said", style="yellow", no_wrap=True, ratio=4)
    table.add_column("intents, alerts, problems", no_wrap=True, ratio=3)
    table.add_column("ms", justify="right", no_wrap=True, width=6)
    for turn, heard in rows:
        notes = [*(printable(note) for note in (*turn.intents, *turn.alerts)), *_problems(turn)]
        table.add_row(
            Text(f"{turn.end_s:.1f} s"),
            Text(turn.floor + (" *" if turn.overlap else ""), style=_FLOOR_STYLES.get(turn.floor, "")),
            Text(heard, overflow="ellipsis"),
            Text(printable(turn.said), overflow="ellipsis"),
            Text("; ".join(notes), style="bold red" if _problems(turn) else "green", overflow="ellipsis"),
            Text(f"{turn.inference_ms:.0f}", style="bold red" if turn.deadline_missed else "dim"),
        )
    return table
