"""Decode recorded messages with the definition that the bag carries, else with ours.

The bag's own definition comes first, because a type may have changed since the recording. Some recorders store a
placeholder instead of a definition; when the first message of a type does not fit the bag's definition and fits ours,
ours is used from then on. Knows no files and no order.

Source: OMG CDR; rmw_fastrtps (rmw_serialize) for the bytes behind a message.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.typesys.store import Typestore

from tml_ros.bags.types import embedded_typestore, typestore
from tml_ros.errors import BagError, nearest_name

__all__ = ["Decoder", "deserialize"]


class Decoder:
    """Finds the definition of each type once and decodes by it. Thread: one at a time."""

    def __init__(self) -> None:
        self._stores: dict[str, list[Typestore]] = {}

    def knows(self, connection: Connection) -> bool:
        """Tell whether anything defines the type of a topic."""
        return bool(self._candidates(connection))

    def decode(self, connection: Connection, data: bytes) -> Any:
        """Decode CDR bytes; arrays share their memory.

        Raises:
            Exception: the bytes do not fit the type; what comes out depends on where they stop to fit.
        """
        stores = self._candidates(connection)
        if len(stores) > 1:
            self._stores[connection.msgtype] = stores = [_fitting(stores, connection.msgtype, data)]
        return deserialize(stores[0], connection.msgtype, data)

    def typestore(self, type_name: str, connections: Iterable[Connection]) -> Typestore:
        """Return the store that a type is decoded with.

        Raises:
            BagError: nothing defines the type.
        """
        for connection in connections:
            if connection.msgtype == type_name and (stores := self._candidates(connection)):
                return stores[0]
        hint = nearest_name(type_name, typestore().fielddefs)
        raise BagError(
            f"message type {type_name!r} is unknown and the bag carries no usable definition of it, expected a type of "
            f"ROS 2 or tml_interfaces{hint}; record it as mcap, or leave its topics out"
        )

    def _candidates(self, connection: Connection) -> list[Typestore]:
        """Stores that define the type, the preferred one first. The first definition in the bag counts."""
        name = connection.msgtype
        if name not in self._stores:
            own = embedded_typestore(name, connection.msgdef)
            self._stores[name] = ([own] if own else []) + ([typestore()] if name in typestore().fielddefs else [])
        return self._stores[name]


def _fitting(stores: list[Typestore], type_name: str, data: bytes) -> Typestore:
    for store in stores:
        try:
            deserialize(store, type_name, data)
        except Exception:  # generated code meets bytes of another type: struct, numpy, unicode, serde errors
            continue
        return store
    return stores[0]


def deserialize(store: Typestore, type_name: str, data: bytes) -> Any:
    """Decode CDR bytes without copying arrays.

    Unlike ``Typestore.deserialize_cdr`` it takes what ROS writes when a node serialises a message itself: its estimate
    of the size counts the alignment of elements even where a sequence is empty (a JointState without velocities), which
    leaves up to 8 unused bytes for each, beside padding to a multiple of 4.

    Raises:
        ValueError: no CDR header, or more bytes than the message explains; other errors from within generated code.
    """
    view = memoryview(data)
    if len(view) < 4 or view[0] != 0 or view[1] > 1:
        raise ValueError(f"bytes begin with {bytes(view[:4]).hex(' ')}, expected the CDR header 00 01 or 00 00")
    definition = store.get_msgdef(type_name)
    read = definition.deserialize_cdr_le if view[1] else definition.deserialize_cdr_be
    message, end = read(view[4:], 0, definition.cls, store)
    unused = len(view) - 4 - end
    if unused > 3 and unused > 3 + 8 * _empty_sequences(message):
        raise ValueError(f"{unused} bytes are left over behind the message")
    return message


def _empty_sequences(value: Any) -> int:
    if isinstance(value, np.ndarray | list) and not len(value):
        return 1
    if isinstance(value, list):
        return sum(map(_empty_sequences, value))
    if dataclasses.is_dataclass(value):
        return sum(_empty_sequences(getattr(value, field.name)) for field in dataclasses.fields(value))
    return 0
