"""Find the streams of a session in a bag, by name where given and by type otherwise."""

from collections.abc import Mapping
from pathlib import Path

from tml_ros.bags import BagInfo
from tml_ros.errors import BagError, nearest_name
from tml_ros.wire import INPUT_TYPES, OUTPUT_TYPES

__all__ = ["find_inputs"]

_SENSES = ("audio/in", "image", "image/compressed")


def find_inputs(path: Path, info: BagInfo, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return which topic of the bag feeds which input.

    A topic belongs to an input when its type fits and it is chosen, or its name ends with the input's name, or (for
    sound and pictures) it is the only one of its type.

    Args:
        chosen: input name (``audio/in``) to topic, for what the caller wants otherwise.

    Returns:
        Topic to input name.

    Raises:
        BagError: a chosen topic is not there or of another type, or the bag holds neither sound nor pictures.
    """
    types = {name: topic.type for name, topic in info.topics.items()}
    found: dict[str, str] = {}
    for name, type_name in INPUT_TYPES.items():
        topic = _choose(path, name, type_name, types, chosen.get(name))
        if topic is not None:
            found[topic] = name
    if not any(name in _SENSES for name in found.values()):
        held = ", ".join(f"{topic} ({type_name})" for topic, type_name in sorted(types.items())) or "no topic at all"
        raise BagError(
            f"{path} holds neither sound ({INPUT_TYPES['audio/in']}) nor pictures ({INPUT_TYPES['image']} or "
            f"CompressedImage), but {held}; record them, or name the topics with --topic"
        )
    return found


def _choose(path: Path, name: str, wanted: str, types: Mapping[str, str], chosen: str | None) -> str | None:
    if chosen is not None:
        if chosen not in types:
            raise BagError(f"{path} has no topic {chosen!r} for {name}{nearest_name(chosen, types)}")
        if types[chosen] != wanted:
            raise BagError(f"topic {chosen!r} is a {types[chosen]}, but {name} must be a {wanted}")
        return chosen
    fitting = [topic for topic, type_name in types.items() if type_name == wanted]
    named = sorted((topic for topic in fitting if topic == name or topic.endswith(f"/{name}")), key=len)
    if named:
        return named[0]
    others = [topic for topic in fitting if not _is_ours(topic)]
    return others[0] if name in _SENSES and len(others) == 1 else None


def _is_ours(topic: str) -> bool:
    """Tell whether a topic has the name of another input or of an output of this package."""
    return any(topic.endswith(name) for name in (*INPUT_TYPES, *OUTPUT_TYPES))
