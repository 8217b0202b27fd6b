"""Training of the networks that are shipped. Needs torch; nothing of it is needed to run a robot."""

__all__: list[str] = []
