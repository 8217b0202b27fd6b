"""The core's ``logging`` into the ROS log of a node."""

import logging
from typing import Any

__all__ = ["bridge_logging"]


class _RosHandler(logging.Handler):
    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


def bridge_logging(logger: Any) -> logging.Handler:
    """Send what ``tml_ros`` logs to a ROS logger, which filters by its own level; return the handler."""
    root = logging.getLogger("tml_ros")
    root.setLevel(logging.DEBUG)
    root.propagate = False
    for old in list(root.handlers):
        root.removeHandler(old)
    handler = _RosHandler(logger)
    root.addHandler(handler)
    return handler
