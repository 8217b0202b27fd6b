"""Message types for bags: those of ROS 2 Kilted, our own, and the definitions that a bag carries.

Knows no bag and no message content. Services and actions are not needed to read a recording and are left out.
A definition from a bag is foreign text that rosbags turns into Python source, so its names are checked first.

Source: rosbags.typesys; tml_interfaces/msg/*.msg.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from tml_ros.errors import BagError, nearest_name
from tml_ros.resources import find

if TYPE_CHECKING:
    from rosbags.interfaces.typing import Typesdict

__all__ = ["check_type", "embedded_typestore", "typestore"]

_TYPE_NAME = re.compile(r"[A-Za-z]\w*/(msg|srv|action)/[A-Za-z]\w*", re.ASCII)
_FIELD_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_IDL_SEPARATOR = "=" * 80 + "\n"


@cache
def typestore() -> Typestore:
    """Return the store of ROS 2 Kilted's messages and ours. It is shared: register nothing in it.

    Raises:
        ConfigError: the message definitions did not come with the package.
    """
    store = get_typestore(Stores.ROS2_KILTED)
    types: Typesdict = {}
    for path in sorted(find("interfaces/tml_interfaces/msg").glob("*.msg")):
        types |= get_types_from_msg(path.read_text("utf-8"), f"tml_interfaces/msg/{path.stem}")
    store.register(types)
    return store


def check_type(store: Typestore, type_name: str) -> None:
    """Refuse a type that the store does not have.

    Raises:
        BagError: unknown type.
    """
    if type_name not in store.fielddefs:
        raise BagError(
            f"message type {type_name!r} is unknown, expected one such as std_msgs/msg/String"
            f"{nearest_name(type_name, store.fielddefs)}"
        )


def embedded_typestore(type_name: str, definition: MessageDefinition) -> Typestore | None:
    """Build a store from the definition that a bag carries for a type.

    Returns:
        A store with the type and all that it is made of; None when the bag carries no definition of it, or one that
        cannot be used, or the very one that ``typestore`` has.
    """
    try:
        types = _parse(type_name, definition)
        if type_name not in types or _is_known(types):
            return None
        _check_names(types)
        store = get_typestore(Stores.EMPTY)
        store.register(types)
        store.get_msgdef(type_name)
    except Exception:  # foreign text meets a parser and a code generator: no failure of theirs may stop the reading
        return None
    return store


def _parse(type_name: str, definition: MessageDefinition) -> "Typesdict":
    if definition.format == MessageDefinitionFormat.MSG:
        return get_types_from_msg(definition.data, type_name)
    types: Typesdict = {}
    if definition.format == MessageDefinitionFormat.IDL:
        for part in definition.data.split(_IDL_SEPARATOR):
            header, _, rest = part.partition("\n")
            types |= get_types_from_idl(rest if header.startswith("IDL: ") else part) if part else {}
    return types


def _is_known(types: "Typesdict") -> bool:
    known = typestore().fielddefs
    return all(name in known and known[name][1] == fields for name, (_, fields) in types.items())


def _check_names(types: "Typesdict") -> None:
    for name, (constants, fields) in types.items():
        words = [*(constant[0] for constant in constants), *(field[0] for field in fields)]
        if not _TYPE_NAME.fullmatch(name) or not all(map(_FIELD_NAME.fullmatch, words)):
            raise BagError(
                f"definition of {name!r} has odd names, expected package/msg/Type and words; do not trust it"
            )
