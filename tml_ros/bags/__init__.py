"""Recordings: rosbag2 folders and files, read and written without ROS. L1: knows errors and resources only."""

from tml_ros.bags.info import BagInfo, BagTopic, TopicQos
from tml_ros.bags.reader import BagMessage, BagReader
from tml_ros.bags.trees import message_to_tree, tree_to_message
from tml_ros.bags.types import typestore
from tml_ros.bags.writer import BagWriter, whole_bag

__all__ = [
    "BagInfo",
    "BagMessage",
    "BagReader",
    "BagTopic",
    "BagWriter",
    "TopicQos",
    "message_to_tree",
    "tree_to_message",
    "typestore",
    "whole_bag",
]
