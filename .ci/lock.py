"""Print the exact version of every package that pip installed, as constraints for the next environment.

What was built from this repository, and the copies that the ROS wheels carry of their own metadata, is left out; so is
what names a build of a version (``+cpu``), for every index has its own.
"""

from importlib import metadata

BUILT_HERE = {"tml-interfaces", "tml-ros", "pip"}


def main() -> None:
    """Print one ``name==version`` a line, sorted."""
    print('# Every version of a working environment, written by "make lock"; .ci/setup uses it as constraints.')
    installed = [dist for dist in metadata.distributions() if dist.read_text("INSTALLER")]
    names = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in installed}
    for name in sorted(names.keys() - BUILT_HERE):
        print(f"{name}=={names[name].split('+')[0]}")


main()
