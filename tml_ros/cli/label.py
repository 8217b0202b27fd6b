"""``tml label BAG``: a table of what people said in a bag and what should follow, to be corrected by hand."""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tml_ros.errors import ConfigError
from tml_ros.intents import Grammar, load_intents
from tml_ros.intents.labels import Label, write_labels
from tml_ros.replay.labelling import hear, prefill
from tml_ros.resources import locate

__all__ = ["label", "table_of"]


def label(options: argparse.Namespace) -> int:
    """Write the table and end with one line of JSON.

    Raises:
        BagError: the bag is missing, damaged or holds no sound.
        ConfigError: the table is there already, or a topic or the intents file is wrong.
        InputError: the table cannot be written.
    """
    out = options.out or table_of(options.bag)
    if out.exists() and not options.force:
        raise ConfigError(f"{out} exists already and may hold corrections; name another with --out, or use --force")
    grammar = Grammar(load_intents(locate(options.intents) if options.intents else None))
    topics = dict(_topic(pair) for pair in options.topic)
    labels = prefill(hear(options.bag, {"model": options.model}, topics), grammar, options.said)
    write_labels(out, labels)
    if not options.json:
        Console().print(_shown(labels))
    print(json.dumps({"labels": str(out), "turns": len(labels), "with_words": sum(bool(one.said) for one in labels)}))
    return 0


def table_of(bag: Path) -> Path:
    """Return where the table of a bag lies if nothing else is said: beside it."""
    return bag.with_name(f"{bag.name}.labels.csv")


def _topic(pair: str) -> tuple[str, str]:
    name, equals, topic = pair.partition("=")
    if not equals:
        raise ConfigError(f"--topic {pair!r} must be INPUT=TOPIC, such as audio/in=/robot/mic")
    return name, topic


def _shown(labels: list[Label]) -> Table:
    table = Table("start", "end", "said", "intent", "data", "reply", "task")
    for one in labels:
        data = json.dumps(dict(one.data)) if one.data else ""
        table.add_row(f"{one.start_s:.2f}", f"{one.end_s:.2f}", one.said, one.intent, data, one.reply, one.task)
    return table
