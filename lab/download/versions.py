"""Which version of a file is downloaded, when the sources do not all have the same. Pure."""

from collections.abc import Mapping

from lab.download.target import Version


def votes(version: Version, versions: Mapping[str, Version]) -> tuple[int, int]:
    """
    What speaks for a version.

    Args:
        version: One.
        versions: What the sources have, by their names.

    Returns:
        How many sources have that file, as far as can be told; and how many have told this very
        list of its pieces, for those with lists of another kind may still say that it is wrong.
    """
    have = [other for other in versions.values() if other.same_file(version)]
    return len(have), have.count(version)


def choose(versions: Mapping[str, Version]) -> Version:
    """
    The version that has most votes; of those with equally many, that of the first source.

    Args:
        versions: At least one, by the names of the sources, in their order of preference.
    """
    return max(versions.values(), key=lambda version: votes(version, versions))
