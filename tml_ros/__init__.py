"""Full-duplex presence for robots: sound, sight and speech in 200 ms micro-turns.

The core (everything but ``nodes``) runs without ROS; importing this package imports neither ROS nor a model.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
