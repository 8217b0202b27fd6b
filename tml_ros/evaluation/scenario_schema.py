"""Read a suite file: YAML against its JSON schema, with file, line and key where it is wrong.

It knows nothing of what a scenario means: ``scenario`` reads that, and refuses through ``Document.fail``.

Source: config/scenario.schema.json.
"""

from pathlib import Path

from tml_ros import documents
from tml_ros.documents import Document, Key
from tml_ros.errors import SceneError

__all__ = ["Document", "Key", "read_document"]


def read_document(path: Path) -> Document:
    """Read a suite file and check it against the schema.

    Raises:
        SceneError: it is missing, no YAML, holds a key twice, or is against the schema.
    """
    return documents.read_document(path, "suite file", "scenario.schema.json", ("scene.schema.json",), SceneError)
