"""The ``tml`` command: thin, every subcommand calls one function of the package."""

__all__: list[str] = []
