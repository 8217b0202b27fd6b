"""Parse the command line of ``tml`` and call the subcommand; errors become one line on stderr and exit code 1.

Subcommands are imported only when they are called, so that those without ROS work where there is none.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from tml_ros import __version__
from tml_ros.cli.measuring import add_bench, add_timers
from tml_ros.errors import TmlError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed or refused, 2 unusable arguments, 130 interrupted."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level.upper(), format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        return int(options.run(options))
    except TmlError as err:
        print(f"tml: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tml", description="Full-duplex presence for robots, in 200 ms micro-turns.")
    parser.add_argument("--version", action="version", version=f"tml {__version__}")
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_replay(commands)
    _add_golden(commands)
    _add_eval(commands)
    _add_live(commands)
    _add_bag(commands)
    _add_checkpoint(commands)
    add_bench(commands)
    _add_zone(commands)
    _add_report(commands)
    add_timers(commands)
    _add_safety(commands)
    _add_label(commands)
    _add_train(commands)
    models = commands.add_parser("models", help="list the duplex and background models that can be used")
    models.add_argument("--json", action="store_true", help="print JSON only")
    models.set_defaults(run=_run_models)
    devices = commands.add_parser("devices", help="list the microphones and loudspeakers of this machine")
    devices.add_argument("--json", action="store_true", help="print JSON only")
    devices.set_defaults(run=_run_devices)
    doctor = commands.add_parser("doctor", help="say what is present, what is missing and how to get it")
    doctor.add_argument("--json", action="store_true", help="print JSON only")
    doctor.add_argument("--dds", action="store_true", help="also measure how many camera images DDS loses here (10 s)")
    doctor.set_defaults(run=_run_doctor)
    return parser


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    demo = commands.add_parser("demo", help="make a bag, run the interaction node on it and show what happens")
    demo.add_argument("--scene", type=Path, help="scene file (default: config/scenes/demo.yaml of this package)")
    demo.add_argument(
        "--out", type=Path, default=Path("tml_demo"), help="folder for bag and report (default: tml_demo)"
    )
    demo.add_argument("--model", default="cascade", help="duplex model (default: cascade)")
    demo.add_argument("--params", type=Path, help="ROS parameter file for the interaction node")
    demo.add_argument("--rate", type=float, default=1.0, help="playback speed (default: 1)")
    demo.add_argument("--json", action="store_true", help="end with one line of JSON")
    demo.set_defaults(run=_run_demo)


def _add_replay(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    replay = commands.add_parser("replay", help="run a bag through a model offline: the same bag, the same answers")
    _add_bag_options(replay)
    replay.add_argument(
        "--out", type=Path, help="folder for the published records (a bag), report.html and result.json"
    )
    replay.add_argument("--paced", action="store_true", help="play at the speed of life and count compute in latencies")
    replay.add_argument(
        "--expect",
        type=Path,
        metavar="GOLDEN",
        help="show the first micro-turn that is not as in this file of `tml golden`, and end with 1 if there is one; "
        "what other options do not say is as it was for that file",
    )
    replay.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FIELD",
        help="a field that may differ from GOLDEN, such as sound or digest on another machine",
    )
    replay.add_argument("--json", action="store_true", help="print JSON only")
    replay.set_defaults(run=_run_replay)


def _add_golden(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    golden = commands.add_parser("golden", help="write down what a bag gives, for `tml replay --expect` and for pytest")
    _add_bag_options(golden)
    golden.add_argument("--out", type=Path, help="file (default: BAG.golden.jsonl beside the bag)")
    golden.add_argument("--json", action="store_true", help="print JSON only")
    golden.set_defaults(run=_run_golden)


def _add_eval(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    evaluation = commands.add_parser("eval", help="run suites of scenarios with any models, side by side")
    evaluation.add_argument(
        "suites",
        nargs="+",
        metavar="SUITE",
        help="name of a shipped suite, a file, or all; or the folder of one checkpoint",
    )
    evaluation.add_argument(
        "--model",
        action="append",
        default=[],
        help="duplex model, or all; may come several times (default: cascade)",
    )
    evaluation.add_argument(
        "--out",
        type=Path,
        default=Path("tml_eval"),
        help="folder for verdicts, frames and report; an evaluation that is there is replaced (default: tml_eval)",
    )
    evaluation.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    evaluation.add_argument("--resume", action="store_true", help="go on where a run in OUT was ended")
    evaluation.add_argument("--data", type=Path, metavar="DIR", help="folder with recordings of people, for real clips")
    evaluation.add_argument("--against", type=Path, metavar="OLD_RUN", help="compare with the verdicts in this folder")
    evaluation.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="processes of this machine, or a Ray cluster: the one at RAY_ADDRESS, otherwise one of its own",
    )
    evaluation.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter, as cascade.vad_on=0.6"
    )
    evaluation.add_argument("--no-baselines", action="store_true", help="leave out silence, always_talk and echo")
    evaluation.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables there, as Markdown")
    evaluation.add_argument("--json", action="store_true", help="print JSON only")
    _add_skill_options(evaluation)
    evaluation.set_defaults(run=_run_eval)


def _add_skill_options(evaluation: argparse.ArgumentParser) -> None:
    """Add what holds for a checkpoint alone."""
    skills = evaluation.add_argument_group("of a checkpoint")
    skills.add_argument(
        "--speech", type=Path, metavar="DIR", help="recordings (default: ../shared/data/speech from here)"
    )
    skills.add_argument("--dialogue", type=Path, metavar="DIR", help="meetings (default: dialogue beside the speech)")
    skills.add_argument("--video", type=Path, metavar="DIR", help="real clips (default: video beside the speech)")
    skills.add_argument("--split", default="dev", help="column split of labels.csv (default: dev)")
    skills.add_argument("--only", nargs="+", default=[], metavar="ITEM", help="items by name or number")
    skills.add_argument("--limit", type=int, metavar="N", help="at most N of each word, sentence and clip")


def _add_live(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    live = commands.add_parser("live", help="run some scenarios through real nodes at the speed of life")
    live.add_argument("suite", metavar="SUITE", help="name of a shipped suite, or a file")
    live.add_argument("--items", type=int, default=5, metavar="N", help="how many, from all over it (default: 5)")
    live.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these scenarios instead")
    live.add_argument("--model", default="cascade", help="duplex model (default: cascade)")
    live.add_argument("--params", type=Path, help="ROS parameter file for the interaction node")
    live.add_argument("--data", type=Path, metavar="DIR", help="folder with recordings of people")
    live.add_argument(
        "--out", type=Path, default=Path("tml_live"), help="folder for the nodes' logs (default: tml_live)"
    )
    live.set_defaults(run=_run_live)


def _add_bag_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which bag is played, and how."""
    parser.add_argument("bag", type=Path)
    parser.add_argument("--model", help="duplex model (default: cascade)")
    parser.add_argument("--params", type=Path, help="ROS parameter file, as for the interaction node")
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="INPUT=TOPIC",
        help="which topic feeds an input, such as audio/in=/robot/mic (default: found by name and type)",
    )
    parser.add_argument(
        "--background",
        choices=("auto", "recorded", "offline", "none"),
        help="who works on delegated tasks: what the bag recorded of them, the documents and plans of the example lab, "
        "or nobody (default: auto, which is recorded where the bag has it, otherwise offline)",
    )


def _add_bag(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bag = commands.add_parser("bag", help="make, inspect and play bags").add_subparsers(metavar="ACTION", required=True)
    make = bag.add_parser("make", help="make a bag from a scene file")
    make.add_argument("scene", type=Path)
    make.add_argument("out", type=Path)
    make.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    make.add_argument("--force", action="store_true", help="replace OUT if it is a bag")
    make.add_argument("--json", action="store_true", help="print JSON only")
    make.set_defaults(run=_run_bag_make)
    info = bag.add_parser("info", help="say what is in a bag")
    info.add_argument("bag", type=Path)
    info.add_argument("--json", action="store_true", help="print JSON only")
    info.set_defaults(run=_run_bag_info)
    play = bag.add_parser("play", help="publish a bag on its topics, with /clock")
    play.add_argument("bag", type=Path)
    play.add_argument("--rate", type=float, default=1.0, help="speed (default: 1)")
    play.add_argument("--no-clock", action="store_true", help="do not publish /clock")
    play.add_argument(
        "--no-outputs", action="store_true", help="leave out recorded outputs of an interaction node, such as speech"
    )
    play.add_argument("--loop", action="store_true", help="begin again at the end, until interrupted")
    play.add_argument("--wait-for", type=float, default=2.0, metavar="S", help="wait for subscribers at most S seconds")
    play.add_argument("--subscribers", type=int, default=1, metavar="N", help="subscribers to wait for on every topic")
    play.add_argument("--json", action="store_true", help="print JSON only")
    play.set_defaults(run=_run_bag_play)


def _add_checkpoint(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    checkpoint = commands.add_parser("checkpoint", help="make and inspect checkpoints of the native model")
    actions = checkpoint.add_subparsers(metavar="ACTION", required=True)
    make = actions.add_parser("make", help="make a checkpoint with random weights")
    make.add_argument("preset", help="checkpoint whose sizes and tokenizer are taken, by name or folder")
    make.add_argument("out", type=Path)
    make.add_argument("--seed", type=int, default=0, help="the same one gives the same weights (default: 0)")
    make.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="(default: float32)")
    make.add_argument("--force", action="store_true", help="replace OUT if it is a checkpoint")
    make.add_argument("--json", action="store_true", help="print JSON only")
    make.set_defaults(run=_run_checkpoint_make)
    mean = actions.add_parser("mean", help="take the mean of checkpoints that were trained from one another")
    mean.add_argument("out", type=Path)
    mean.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="name or folder, two or more")
    mean.add_argument("--force", action="store_true", help="replace OUT if it is a checkpoint")
    mean.add_argument("--json", action="store_true", help="print JSON only")
    mean.set_defaults(run=_run_checkpoint_mean)
    info = actions.add_parser("info", help="check a checkpoint and say what is in it and what it costs")
    info.add_argument("checkpoint", help="name or folder")
    info.add_argument("--json", action="store_true", help="print JSON only")
    info.set_defaults(run=_run_checkpoint_info)


def _add_zone(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    zone = commands.add_parser("zone", help="draw a zone on a picture of the camera, for the rules of a lab")
    zone.add_argument("source", type=Path, metavar="IMAGE_OR_BAG", help="a JPEG or PNG, or a bag with pictures")
    zone.add_argument(
        "--out",
        type=Path,
        default=Path("zones.yaml"),
        help="file to write the zone into, beside the zones that are there; the picture is called alike, with .jpg "
        "(default: zones.yaml)",
    )
    zone.add_argument("--name", default="bench", help="name of the zone (default: bench)")
    zone.add_argument(
        "--polygon",
        metavar="'X,Y X,Y ...'",
        help="corners in order, as shares of width and height from 0 to 1 (default: they are clicked where a window "
        "can be opened, otherwise a grid is drawn to read them off)",
    )
    zone.add_argument("--time", type=float, default=0.0, metavar="S", help="seconds into the bag (default: 0)")
    zone.add_argument("--topic", help="topic of the pictures (default: found by name and type)")
    zone.add_argument("--json", action="store_true", help="print JSON only")
    zone.set_defaults(run=_run_zone)


def _add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    report = commands.add_parser("report", help="one HTML page of a shift: alerts, latencies, stills, gaps")
    report.add_argument("bag", type=Path, metavar="BAG", help="a recording of a robot, or an incident")
    report.add_argument("--out", type=Path, help="file (default: BAG.html beside the bag)")
    report.add_argument("--json", action="store_true", help="print JSON only")
    report.set_defaults(run=_run_report)


def _add_safety(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    safety = commands.add_parser("safety", help="score the watchers of a lab").add_subparsers(
        metavar="ON_WHAT", required=True
    )
    scenes = safety.add_parser("scenes", help="on rendered scenes with exact truth")
    scenes.add_argument("--seed", type=int, default=0, help="of the scenes (default: 0)")
    scenes.add_argument("--number", type=int, default=40, metavar="N", help="of scenes (default: 40)")
    scenes.add_argument("--theme", help="what all of them are about, such as hazards (default: themes take turns)")
    films = safety.add_parser("films", help="on films with labels")
    films.add_argument("folder", type=Path, metavar="DIR", help="folder with films and labels.json")
    films.add_argument("--bags", type=Path, metavar="OUT", help="make a bag of each film here, and play the bags")
    for one in (scenes, films):
        one.add_argument("--fps", type=float, default=10.0, help="pictures a second (default: 10)")
    sounds = safety.add_parser("sounds", help="on made sounds with alarms under talk, music and noise")
    sounds.add_argument("--seed", type=int, default=0, help="of the sounds (default: 0)")
    sounds.add_argument("--number", type=int, default=60, metavar="N", help="of sounds of 20 s (default: 60)")
    sounds.add_argument(
        "--talk", type=Path, metavar="DIR", help="folder with recordings of people (default: it is synthesised)"
    )
    for one, name in ((scenes, "scenes"), (films, "films"), (sounds, "sounds")):
        one.add_argument("--json", action="store_true", help="print JSON only")
        one.set_defaults(run=_run_safety, on_what=name)


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    train = commands.add_parser("train", help="train the native model as a file says, or go on with it")
    train.add_argument("config", nargs="?", help="training file, or the name of one in config/train")
    train.add_argument("--out", type=Path, help="folder (default: tml_train), or the adapter's file (BAGS.safetensors)")
    train.add_argument("--resume", action="store_true", help="go on where the training in OUT was ended")
    train.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        metavar="S",
        help="save and end after so long, to go on with --resume (default: train to the end)",
    )
    train.add_argument("--corpus", type=Path, metavar="DIR", help="folder with the parts that scenes are made of")
    train.add_argument("--threads", type=int, metavar="N", help="CPU threads for tensors (default: as the file says)")
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    train.add_argument("--json", action="store_true", help="print JSON only")
    teach = train.add_argument_group("teach a checkpoint what was labelled, in place of a training file")
    teach.add_argument("--from", dest="start_from", metavar="CHECKPOINT", help="name or folder; it is not changed")
    teach.add_argument("--bags", type=Path, metavar="DIR", help="bags with the tables of `tml label` beside them")
    teach.add_argument("--intents", metavar="FILE", help="intents file (default: the one of this package)")
    teach.add_argument("--steps", type=int, metavar="N", help="of learning to spell, and to answer (default: 300 each)")
    train.set_defaults(run=_run_train)


def _add_label(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    label = commands.add_parser("label", help="write down what people said in a bag and what should follow, to correct")
    label.add_argument("bag", type=Path)
    label.add_argument("--out", type=Path, help="table (default: BAG.labels.csv beside the bag)")
    label.add_argument("--said", default="", help="the words of every turn in the bag, where they are all the same")
    label.add_argument("--intents", metavar="FILE", help="says what follows from words (default: that of this package)")
    label.add_argument("--model", default="cascade", help="hears the bag if no outputs are in it (default: cascade)")
    label.add_argument("--topic", action="append", default=[], metavar="INPUT=TOPIC", help="which topic feeds an input")
    label.add_argument("--force", action="store_true", help="replace the table, corrections and all")
    label.add_argument("--json", action="store_true", help="print JSON only")
    label.set_defaults(run=_run_label)


def _run_demo(options: argparse.Namespace) -> int:
    from tml_ros.cli.demo import demo

    return demo(options)


def _run_replay(options: argparse.Namespace) -> int:
    from tml_ros.cli.replay import run_replay

    return run_replay(options)


def _run_golden(options: argparse.Namespace) -> int:
    from tml_ros.cli.golden import run_golden

    return run_golden(options)


def _run_eval(options: argparse.Namespace) -> int:
    from tml_ros.cli.evaluate import evaluate

    return evaluate(options)


def _run_live(options: argparse.Namespace) -> int:
    from tml_ros.cli.live import live

    return live(options)


def _run_bag_make(options: argparse.Namespace) -> int:
    from tml_ros.cli import bag

    return bag.make(options.scene, options.out, storage=options.storage, force=options.force, as_json=options.json)


def _run_bag_info(options: argparse.Namespace) -> int:
    from tml_ros.cli import bag

    return bag.info(options.bag, as_json=options.json)


def _run_bag_play(options: argparse.Namespace) -> int:
    from tml_ros.cli.play import play

    return play(options)


def _run_checkpoint_make(options: argparse.Namespace) -> int:
    from tml_ros.cli import checkpoint

    return checkpoint.make(
        options.preset,
        options.out,
        seed=options.seed,
        dtype=options.dtype,
        force=options.force,
        as_json=options.json,
    )


def _run_checkpoint_mean(options: argparse.Namespace) -> int:
    from tml_ros.cli import checkpoint

    return checkpoint.mean(options.checkpoints, options.out, force=options.force, as_json=options.json)


def _run_checkpoint_info(options: argparse.Namespace) -> int:
    from tml_ros.cli import checkpoint

    return checkpoint.info(options.checkpoint, as_json=options.json)


def _run_zone(options: argparse.Namespace) -> int:
    from tml_ros.cli.zone import draw_zone

    return draw_zone(options)


def _run_safety(options: argparse.Namespace) -> int:
    from tml_ros.cli import safety

    return {"scenes": safety.scenes, "films": safety.films, "sounds": safety.sounds}[options.on_what](options)


def _run_report(options: argparse.Namespace) -> int:
    from tml_ros.cli.report import report

    return report(options)


def _run_train(options: argparse.Namespace) -> int:
    from tml_ros.cli.train import train

    return train(options)


def _run_label(options: argparse.Namespace) -> int:
    from tml_ros.cli.label import label

    return label(options)


def _run_models(options: argparse.Namespace) -> int:
    from tml_ros.cli.models import list_models

    return list_models(as_json=options.json)


def _run_devices(options: argparse.Namespace) -> int:
    from tml_ros.cli.devices import show_devices

    return show_devices(as_json=options.json)


def _run_doctor(options: argparse.Namespace) -> int:
    from tml_ros.cli.doctor import doctor

    return doctor(as_json=options.json, with_dds=options.dds)


if __name__ == "__main__":
    raise SystemExit(main())
