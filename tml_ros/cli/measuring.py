"""The commands of ``tml`` that work with running nodes or measure: ``bench`` and ``timers``; parsed here for ``main``.

What they do is imported only when they are called.
"""

import argparse
from pathlib import Path

__all__ = ["add_bench", "add_timers"]


def add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``bench``."""
    bench = commands.add_parser("bench", help="measure").add_subparsers(metavar="WHAT", required=True)
    native = bench.add_parser("native", help="time the native model, micro-turn by micro-turn")
    native.add_argument(
        "--preset",
        "--checkpoint",
        default="micro",
        help="name or folder; random weights where it has none (default: micro)",
    )
    native.add_argument("--turns", type=int, default=500, help="micro-turns that are timed (default: 500)")
    native.add_argument("--context-s", type=float, default=60.0, help="session before them, seconds (default: 60)")
    native.add_argument(
        "--dtype", choices=("float32", "bfloat16", "int8"), default="float32", help="(default: float32)"
    )
    native.add_argument("--threads", type=int, default=1, help="cores (default: 1)")
    native.add_argument(
        "--text-tokens",
        type=int,
        metavar="N",
        help="text tokens put out per micro-turn (default: as many as there can be)",
    )
    native.add_argument("--no-frame", action="store_true", help="sound only")
    native.add_argument("--compile", action="store_true", help="use torch.compile")
    native.add_argument("--voice", action="store_true", help="speak with the model's own voice")
    native.add_argument("--skip-naive", action="store_true", help="do not compare with running the whole context anew")
    native.add_argument("--json", action="store_true", help="print JSON only")
    native.set_defaults(run=_run_bench_native)
    _add_bench_safety(bench)


def _add_bench_safety(bench: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    safety = bench.add_parser("safety", help="time alerts through real nodes, from the evidence to topic and sound")
    safety.add_argument("--tours", type=int, default=8, metavar="N", help="each kind of evidence N times (default: 8)")
    safety.add_argument(
        "--blocks",
        nargs="+",
        choices=("plain", "stalled", "hanging"),
        default=["plain", "stalled", "hanging"],
        metavar="BLOCK",
        help="what the graph has to bear, in turn: plain, stalled (the model, for 5 s at a time), hanging (the "
        "background model) (default: all)",
    )
    safety.add_argument("--kinds", type=int, metavar="N", help="only the first N kinds of evidence")
    safety.add_argument("--fps", type=float, default=10.0, help="pictures a second (default: 10)")
    safety.add_argument("--model", default="cascade", help="duplex model (default: cascade)")
    safety.add_argument("--busy", action="store_true", help="the stalled model computes in Python, rather than sleeps")
    safety.add_argument("--player", action="store_true", help="start speech_player and measure what it really plays")
    safety.add_argument(
        "--minutes", type=float, default=0.0, metavar="M", help="instead: a shift with one recorded incident a minute"
    )
    safety.add_argument("--quota-mb", type=float, default=2000.0, help="room for its incidents (default: 2000)")
    safety.add_argument(
        "--out", type=Path, default=Path("tml_bench"), help="folder for logs and incidents (default: tml_bench)"
    )
    safety.add_argument("--json", action="store_true", help="print JSON only")
    safety.set_defaults(run=_run_bench_safety)


def add_timers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``timers``."""
    timers = commands.add_parser("timers", help="timers and timed processes of a running robot")
    timers.add_argument("--namespace", default="tml", help="of the robot's nodes (default: tml)")
    timers.add_argument("--json", action="store_true", help="print JSON only")
    actions = timers.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="what waits and what runs")
    one = actions.add_parser("set", help="set a timer or a reminder")
    one.add_argument("name", nargs="?", default="", help="what it is about, such as stir (default: a plain timer)")
    one.add_argument("--after", required=True, metavar="TIME", help="seconds, or words such as '4 min'")
    one.add_argument("--every", action="store_true", help="again and again")
    one.add_argument("--say", default="", metavar="TEXT", help="(default: 'Remember to NAME.')")
    cancel = actions.add_parser("cancel", help="cancel timers and reminders")
    cancel.add_argument("name", nargs="?", default="", help="(default: all)")
    for action, text in (
        ("start", "time a process"),
        ("stop", "it is done"),
        ("watch", "raise an advisory alert when"),
    ):
        process = actions.add_parser(action, help=text if action != "watch" else f"{text} it takes too long")
        process.add_argument(
            "name", nargs="?", default="", help="such as incubation (default: a stopwatch, the newest)"
        )
        if action == "watch":
            process.add_argument("--longer-than", metavar="TIME", help="(default: than the last one took)")
    timers.set_defaults(run=_run_timers)


def _run_bench_native(options: argparse.Namespace) -> int:
    from tml_ros.cli.bench import bench_native

    return bench_native(options)


def _run_bench_safety(options: argparse.Namespace) -> int:
    from tml_ros.cli.bench_safety import bench_safety

    return bench_safety(options)


def _run_timers(options: argparse.Namespace) -> int:
    from tml_ros.cli.timers import timers

    return timers(options)
