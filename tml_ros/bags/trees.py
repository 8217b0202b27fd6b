"""Messages as nested dicts with ROS field names, and back.

A tree may leave fields out: they become 0, False, "" or empty (the defaults that some .msg files declare are not
applied). Fields of one-byte numbers (uint8[], byte[], char[]) are ``bytes``. Knows no topics, bags or records.
"""

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Nodetype
from rosbags.interfaces.typing import FieldDesc
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

from tml_ros.bags.types import check_type
from tml_ros.errors import BagError, nearest_name

__all__ = ["message_to_tree", "tree_to_message"]

_FILLER = "structure_needs_at_least_one_member"
_DTYPES: dict[str, type[np.generic]] = {"bool": np.bool_, "byte": np.int8, "char": np.uint8}
_BYTES = ("byte", "char", "uint8")


def tree_to_message(store: Typestore, type_name: str, tree: Mapping[str, Any]) -> Any:
    """Build a message of ``store`` from a tree.

    Args:
        store: where the type is defined, such as ``typestore()``.
        type_name: such as ``sensor_msgs/msg/Image``.
        tree: ROS field name -> number, str, tree, list of those, or ndarray [N]; bytes for one-byte numbers. A message
            object of the right type may stand for a tree.

    Raises:
        BagError: unknown type or field, or a value that the field cannot hold.
    """
    check_type(store, type_name)
    return _to_message(store, type_name, tree, type_name)


def message_to_tree(store: Typestore, message: Any) -> dict[str, Any]:
    """Turn a message of ``store`` into a tree with all its fields; numbers come as Python's, arrays as bytes or list.

    Raises:
        BagError: not a message of the store.
    """
    type_name = getattr(message, "__msgtype__", type(message).__name__)
    check_type(store, type_name)
    return {name: _to_tree(store, desc, _attribute(message, name)) for name, desc in _fields(store, type_name)}


def _fields(store: Typestore, type_name: str) -> list[tuple[str, FieldDesc]]:
    return [(name, desc) for name, desc in store.fielddefs[type_name][1] if name != _FILLER]


def _attribute(message: Any, name: str) -> Any:
    return getattr(message, normalize_fieldname(name))


# ------------------------------------------------------------------------------------------------- tree to message


def _to_message(store: Typestore, type_name: str, tree: Any, where: str) -> Any:
    if getattr(tree, "__msgtype__", None) == type_name:
        return tree
    if not isinstance(tree, Mapping):
        raise _wrong(where, tree, f"a dict with the fields of {type_name}")
    fields = _fields(store, type_name)
    names = [name for name, _ in fields]
    for name in tree.keys() - set(names):
        raise BagError(
            f"{where} has no field {name!r}, expected {', '.join(names) or 'none'}{nearest_name(str(name), names)}"
        )
    values = {
        normalize_fieldname(name): _to_field(store, desc, tree[name], f"{where}.{name}")
        if name in tree
        else _default(store, desc)
        for name, desc in fields
    }
    return store.types[type_name](**values)


def _to_field(store: Typestore, desc: FieldDesc, value: Any, where: str) -> Any:
    if desc[0] == Nodetype.NAME:
        return _to_message(store, desc[1], value, where)
    if desc[0] == Nodetype.BASE:
        name, bound = desc[1]
        return _to_text(value, bound, where) if name == "string" else _to_number(name, value, where)
    element, size = desc[1]
    if element[0] == Nodetype.BASE and element[1][0] != "string":
        items: Any = _to_array(element[1][0], value, where)
    else:
        items = [_to_field(store, element, item, f"{where}[{at}]") for at, item in _items(value, where)]
    if (desc[0] == Nodetype.ARRAY and len(items) != size) or (desc[0] == Nodetype.SEQUENCE and len(items) > size > 0):
        expected = f"{size}" if desc[0] == Nodetype.ARRAY else f"at most {size}"
        raise BagError(f"{where} has {len(items)} elements, expected {expected}; shorten or fill it")
    return items


def _to_text(value: Any, bound: int, where: str) -> str:
    if not isinstance(value, str) or len(value.encode()) > bound > 0:
        raise _wrong(where, value, f"a str of at most {bound} bytes" if bound else "a str")
    return value


def _to_number(name: str, value: Any, where: str) -> Any:
    """rosbags packs a byte as a signed number; a tree has it as 0..255 or as bytes of length 1."""
    try:
        if name == "bool" and isinstance(value, bool | np.bool_):
            return bool(value)
        if name.startswith("float"):
            return _to_float(name, value)
        if name == "byte":
            octet = value[0] if isinstance(value, bytes) and len(value) == 1 else operator.index(value)
            return int(np.array(octet, np.uint8).view(np.int8))
        if name != "bool":
            return int(np.array(operator.index(value), _dtype(name)))
    except (TypeError, ValueError, OverflowError) as err:
        raise _wrong(where, value, name) from err
    raise _wrong(where, value, name)


def _to_float(name: str, value: Any) -> float:
    if isinstance(value, str | bytes):
        raise TypeError(value)
    number = float(value)
    if name == "float32" and np.isfinite(number) and abs(number) > float(np.finfo(np.float32).max):
        raise OverflowError(value)
    return number


def _to_array(name: str, value: Any, where: str) -> NDArray[Any]:
    dtype = _dtype(name)
    if name in _BYTES and isinstance(value, bytes | bytearray | memoryview):
        return np.frombuffer(value, dtype)
    if not isinstance(value, np.ndarray):
        return np.array([_to_number(name, item, f"{where}[{at}]") for at, item in _items(value, where)], dtype)
    wanted = np.dtype(np.uint8) if name == "byte" else dtype
    if value.ndim != 1 or not _fits(value, wanted):
        raise _wrong(where, value, f"an ndarray [N] of {name}, within its range")
    return value.astype(wanted, copy=False).view(dtype)


def _items(value: Any, where: str) -> Iterable[tuple[int, Any]]:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return enumerate(value)
    raise _wrong(where, value, "a list")


def _fits(values: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Tell whether numbers keep their value as dtype, rounding of floats aside."""
    if dtype.kind == "b":
        return values.dtype.kind == "b"
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.dtype.kind in "fiu" and bool((np.isfinite(values.astype(dtype)) == np.isfinite(values)).all())
    limits = np.iinfo(dtype)
    return values.dtype.kind in "iu" and (
        not len(values) or (limits.min <= int(values.min()) and int(values.max()) <= limits.max)
    )


def _default(store: Typestore, desc: FieldDesc) -> Any:
    if desc[0] == Nodetype.NAME:
        return _to_message(store, desc[1], {}, desc[1])
    if desc[0] == Nodetype.BASE:
        name = desc[1][0]
        return "" if name == "string" else _dtype(name).type(0).item()
    element, size = desc[1]
    count = size if desc[0] == Nodetype.ARRAY else 0
    if element[0] == Nodetype.BASE and element[1][0] != "string":
        return np.zeros(count, _dtype(element[1][0]))
    return [_default(store, element) for _ in range(count)]


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(_DTYPES.get(name, name))


def _wrong(where: str, value: Any, expected: str) -> BagError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return BagError(f"{where} is {shown} ({type(value).__name__}), expected {expected}; correct the message")


# ------------------------------------------------------------------------------------------------- message to tree


def _to_tree(store: Typestore, desc: FieldDesc, value: Any) -> Any:
    if desc[0] == Nodetype.NAME:
        return message_to_tree(store, value)
    if desc[0] == Nodetype.BASE:
        return value & 0xFF if desc[1][0] == "byte" else value
    element = desc[1][0]
    if element[0] == Nodetype.BASE and element[1][0] != "string":
        return value.tobytes() if element[1][0] in _BYTES else value.tolist()
    return [_to_tree(store, element, item) for item in value]
