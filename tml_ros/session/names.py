"""Names that are the same for the same bag and seed, and unique on a robot."""

import uuid

__all__ = ["name_in", "session_id_for"]

_NAMESPACE = uuid.UUID("7b0f0f6e-52f5-4a55-9f0c-0d9c6e6b7a11")


def session_id_for(start_ns: int, seed: int, ordinal: int) -> str:
    """Return the name of a session."""
    return str(uuid.uuid5(_NAMESPACE, f"{start_ns}/{seed}/{ordinal}"))


def name_in(session_id: str, what: str) -> str:
    """Return the name of something in a session."""
    return str(uuid.uuid5(_NAMESPACE, f"{session_id}/{what}"))
