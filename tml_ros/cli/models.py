"""``tml models``: what can be put behind ``--model``."""

import json

from rich.console import Console
from rich.table import Table

from tml_ros.duplex.registry import available_models, model_factory, model_parameters
from tml_ros.errors import TmlError

__all__ = ["list_models"]


def list_models(*, as_json: bool) -> int:
    """Print every model, where it comes from and whether it can be imported here."""
    rows = [_describe(name, target) for name, target in available_models().items()]
    if not as_json:
        table = Table("name", "class", "what it is", "parameters")
        for row in rows:
            table.add_row(str(row["name"]), str(row["class"]), str(row["summary"]), str(row["parameters"]))
        Console().print(table)
    print(json.dumps(rows))
    return 0


def _describe(name: str, target: str) -> dict[str, object]:
    try:
        summary = (model_factory(name).__doc__ or "").strip().splitlines()
        return {
            "name": name,
            "class": target,
            "usable": True,
            "summary": summary[0] if summary else "",
            "parameters": len(model_parameters(name)),
        }
    except TmlError as err:
        return {"name": name, "class": target, "usable": False, "summary": str(err), "parameters": 0}
