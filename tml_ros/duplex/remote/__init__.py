"""Models that run on a server of somebody else's, reached over a WebSocket: to be measured beside ours.

They are not deterministic: what such a server answers depends on its own time and luck. Nothing is connected unless an
address is configured.
"""

from tml_ros.duplex.remote.stream import RemoteStream, Talk

__all__ = ["RemoteStream", "Talk"]
