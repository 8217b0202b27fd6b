"""The quality of service of every topic, in one table.

Subscriptions to sensors ask for reliable delivery and fall back to what the publishers offer: a reliable subscription
hears nothing from a best-effort publisher, and a best-effort one loses large images that could be re-sent.
"""

from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

__all__ = [
    "ACTION_CLIENT_QOS",
    "ACTION_SERVER_QOS",
    "INPUT_QOS",
    "OUTPUT_QOS",
    "input_profile",
    "newest_offer",
    "newest_qos",
    "offers_best_effort",
]


def _profile(depth: int, *, reliable: bool = True, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


INPUT_QOS: dict[str, tuple[int, bool]] = {
    # input: (depth, whether best-effort publishers are to be expected)
    "audio/in": (64, True),
    "audio/reference": (50, True),
    "image": (5, True),
    "image/compressed": (5, True),
    "text/in": (10, False),
    "playback": (50, False),
}
OUTPUT_QOS: dict[str, QoSProfile] = {
    "speech": _profile(50),
    "speech/control": _profile(50),
    "action_intent": _profile(10),
    "transcript": _profile(50),
    "safety_alert": _profile(20, latched=True),
    "delegation": _profile(50),
    "session_state": _profile(1, latched=True),
    "micro_turn": _profile(10, reliable=False),
}
_MANY = _profile(100)  # an action's default of 10 loses answers and feedback when goals come in a burst
_ACTION_SERVICES_QOS = {f"{name}_service_qos_profile": _MANY for name in ("goal", "result", "cancel")}
ACTION_SERVER_QOS: dict[str, QoSProfile] = {**_ACTION_SERVICES_QOS, "feedback_pub_qos_profile": _MANY}
ACTION_CLIENT_QOS: dict[str, QoSProfile] = {**_ACTION_SERVICES_QOS, "feedback_sub_qos_profile": _MANY}


def input_profile(topic: str, *, reliable: bool) -> QoSProfile:
    """Return the profile of a subscription."""
    return _profile(INPUT_QOS[topic][0], reliable=reliable)


def offers_best_effort(node: Node, topic: str) -> bool:
    """Tell whether any publisher of a topic offers best effort only. topic: fully resolved."""
    infos: list[Any] = node.get_publishers_info_by_topic(topic)
    return any(info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for info in infos)


def newest_offer(node: Node, topic: str) -> tuple[bool, bool]:
    """Return whether a subscription to a topic's newest message can be reliable, and whether latched.

    It asks for no more than all publishers offer. topic: fully resolved.
    """
    profiles: list[Any] = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    is_latched = bool(profiles) and all(one.durability == DurabilityPolicy.TRANSIENT_LOCAL for one in profiles)
    return all(one.reliability == ReliabilityPolicy.RELIABLE for one in profiles), is_latched


def newest_qos(*, reliable: bool, latched: bool) -> QoSProfile:
    """Return the profile of a subscription that keeps one message only."""
    return _profile(1, reliable=reliable, latched=latched)
