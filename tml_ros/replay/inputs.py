"""Find the streams of a session in a bag, by name where given and by type otherwise."""

from collections.abc import Mapping
from pathlib import Path

from tml_ros.bags import BagInfo
from tml_ros.errors import BagError, nearest_name
from tml_ros.media.foreign_audio import AUDIO_TYPES, INFO_TYPE, alike, is_audio_type
from tml_ros.wire import INPUT_TYPES, OUTPUT_TYPES

__all__ = ["find_audio_info", "find_inputs"]

_SENSES = ("audio/in", "image", "image/compressed")


def find_inputs(path: Path, info: BagInfo, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return which topic of the bag feeds which input. Sound may come in messages of other projects, too.

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


def find_audio_info(info: BagInfo, inputs: Mapping[str, str]) -> list[str]:
    """Return the topic, at most one, that says what the sound of AudioDataStamped is made of: the one named most alike.

    Args:
        inputs: topic to input name, as ``find_inputs`` gives them.
    """
    for sound, name in inputs.items():
        if name == "audio/in" and info.topics[sound].type.endswith("/msg/AudioDataStamped"):
            found = [topic for topic, one in info.topics.items() if one.type.endswith(f"/msg/{INFO_TYPE}")]
            return sorted(found, key=lambda topic: (-alike(topic, sound), topic))[:1]
    return []


def _fits(name: str, wanted: str, type_name: str) -> bool:
    return type_name == wanted or (name == "audio/in" and is_audio_type(type_name))


def _choose(path: Path, name: str, wanted: str, types: Mapping[str, str], chosen: str | None) -> str | None:
    if chosen is not None:
        if chosen not in types:
            raise BagError(f"{path} has no topic {chosen!r} for {name}{nearest_name(chosen, types)}")
        if not _fits(name, wanted, types[chosen]):
            also = f" or one of {', '.join(AUDIO_TYPES)}" if name == "audio/in" else ""
            raise BagError(f"topic {chosen!r} is a {types[chosen]}, but {name} must be a {wanted}{also}")
        return chosen
    fitting = [topic for topic, type_name in types.items() if type_name == wanted]
    fitting = fitting or [topic for topic, type_name in types.items() if _fits(name, wanted, type_name)]
    named = sorted((topic for topic in fitting if topic == name or topic.endswith(f"/{name}")), key=len)
    if named:
        return named[0]
    # numbers may be anything: a plain array is sound only by its topic's name
    others = [topic for topic in fitting if not _is_ours(topic) and not types[topic].startswith("std_msgs/")]
    return others[0] if name in _SENSES and len(others) == 1 else None


def _is_ours(topic: str) -> bool:
    """Tell whether a topic has the name of another input or of an output of this package."""
    return any(topic.endswith(name) for name in (*INPUT_TYPES, *OUTPUT_TYPES))
