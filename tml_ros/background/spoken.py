"""What the robot says when a task comes to nothing, whoever finds out. Reasons for people stand where they arise."""

__all__ = ["BROKE", "BUSY", "NOBODY", "NOT_NOW", "TOO_LONG"]

BROKE = "Sorry, something went wrong while I was looking into that."
BUSY = "I am still busy with other questions. Please ask again in a moment."
NOBODY = "I have nobody to ask at the moment."
NOT_NOW = "I cannot look into that now."
TOO_LONG = "Sorry, that took me too long."
