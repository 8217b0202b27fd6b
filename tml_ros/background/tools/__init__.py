"""Tools for background models: what a task may look up and propose, and those of MCP servers."""

from tml_ros.background.tools.builtin import Effects, builtin_tools, robot_utterances
from tml_ros.background.tools.threads import Threads
from tml_ros.background.tools.toolbox import Tool, Toolbox, ToolError, ToolReply

__all__ = ["Effects", "Threads", "Tool", "ToolError", "ToolReply", "Toolbox", "builtin_tools", "robot_utterances"]
