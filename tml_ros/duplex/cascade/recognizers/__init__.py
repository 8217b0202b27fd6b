"""The recognisers of the cascade, each behind its own import: only the one that is named is loaded."""

__all__: list[str] = []
