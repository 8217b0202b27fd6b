"""The interaction node with one more model to choose, ``stalling``: for ``tml bench safety`` and for tests."""

from tml_ros.evaluation.stalling import make_known
from tml_ros.nodes.interaction import InteractionNode
from tml_ros.nodes.main import run_node

__all__ = ["main"]


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; return the exit code."""
    make_known()
    return run_node(InteractionNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
