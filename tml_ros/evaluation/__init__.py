"""How well the robot talks with people: public measures on clips of its own. L4: knows the session, no ROS.

``python -m tml_ros.evaluation.turn_taking`` prints the table of turn-taking.
"""

from tml_ros.evaluation.clips import Clip
from tml_ros.evaluation.fdb import Word, is_takeover, turn_taking_latency_s

__all__ = ["Clip", "Word", "is_takeover", "turn_taking_latency_s"]
