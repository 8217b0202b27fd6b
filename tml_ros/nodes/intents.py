"""Intents for ROS4HRI: every proposal again as hri_actions_msgs/Intent on ``/intents``, where that package exists.

Source: ros4hri/hri_actions_msgs msg/Intent.msg; its action field was named ``intent`` before version 1.
"""

from typing import Any

from rclpy.node import Node

from tml_ros.records import IntentProposal

__all__ = ["IntentForwarder"]


class IntentForwarder:
    """Publishes nothing where hri_actions_msgs cannot be imported."""

    def __init__(self, node: Node) -> None:
        try:
            from hri_actions_msgs.msg import Intent
        except ImportError:
            self._publisher = None
            return
        self._type: Any = Intent
        self._publisher = node.create_publisher(Intent, "/intents", 10)

    def publish(self, proposal: IntentProposal) -> None:
        """Publish a proposal.

        One that needs confirmation is held back, for Intent has no field to say so; nor can it take anything back.
        """
        if self._publisher is None or proposal.requires_confirmation or proposal.is_withdrawn:
            return
        message = self._type()
        setattr(message, "action" if hasattr(message, "action") else "intent", proposal.intent)
        for name in ("data", "source", "modality", "priority", "confidence"):
            setattr(message, name, getattr(proposal, name))
        self._publisher.publish(message)
