"""Thin ROS 2 nodes; the only place that imports rclpy or message packages."""

__all__: list[str] = []
