"""Which version of a file is downloaded, when the sources do not all have the same. Pure."""

from collections.abc import Mapping

from lab.download.target import Version


def choose(versions: Mapping[str, Version]) -> tuple[Version, int]:
    """
    The version that most sources have; of those with equally many, that of the first source.

    Args:
        versions: At least one, by the names of the sources, in their order of preference.

    Returns:
        The version, and how many sources have it.
    """
    groups: list[tuple[Version, int]] = []
    for version in versions.values():
        for number, (other, count) in enumerate(groups):
            if version == other:
                groups[number] = other, count + 1
                break
        else:
            groups.append((version, 1))
    return max(groups, key=lambda group: group[1])
