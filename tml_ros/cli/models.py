"""``tml models``: what can be put behind ``model`` and, for the background node, behind ``backend``."""

import json

from rich.console import Console
from rich.table import Table

from tml_ros.background.registry import BACKENDS
from tml_ros.duplex.registry import MODELS
from tml_ros.errors import TmlError
from tml_ros.plugins import Registry

__all__ = ["list_models"]


def list_models(*, as_json: bool) -> int:
    """Print every model, where it comes from and whether it can be imported here."""
    rows = [_describe(kind, name) for kind in (MODELS, BACKENDS) for name in kind.available()]
    if not as_json:
        table = Table("name", "kind", "class", "what it is", "parameters")
        for row in rows:
            table.add_row(*(str(row[column]) for column in ("name", "kind", "class", "summary", "parameters")))
        Console().print(table)
    print(json.dumps(rows))
    return 0


def _describe(registry: Registry, name: str) -> dict[str, object]:
    row: dict[str, object] = {"name": name, "kind": registry.kind, "class": registry.available()[name]}
    try:
        summary = (registry.factory(name).__doc__ or "").strip().splitlines()
        number = len(registry.parameters(name))
    except TmlError as err:
        return row | {"usable": False, "summary": str(err), "parameters": 0}
    return row | {"usable": True, "summary": summary[0] if summary else "", "parameters": number}
