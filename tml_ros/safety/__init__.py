"""Watching over a place: advisory only, never a safety function. L2: knows sound, pictures, bags; no model."""

__all__: list[str] = []
