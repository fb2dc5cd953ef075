"""The plans that come with the package, and those of files."""

from importlib.resources import files
from pathlib import Path

from lab.errors import LocalError
from lab.experiments.plan import LONGEST, Plan, read

_FOLDER = files("lab.experiments") / "plans"


def samples() -> dict[str, str]:
    """The plans of the package by their names, and what each is for: its first line."""
    found = {}
    for file in sorted(_FOLDER.iterdir(), key=lambda file: file.name):
        title = file.read_text(encoding="utf-8").partition("\n")[0]
        found[file.name.removesuffix(".ini")] = title.removeprefix("# ")
    return found


def find(name: str) -> Plan:
    """
    A plan.

    Args:
        name: A file, or the name of a plan of the package.

    Raises:
        LocalError: It can't be read, or is none.

    >>> find("rpc").service
    'arithmetic'
    """
    path = Path(name)
    if name in samples() and not path.is_file():
        return read((_FOLDER / f"{name}.ini").read_text(encoding="utf-8"), name)
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
        text = data.decode()
    except UnicodeDecodeError:
        raise LocalError(f"plan is {name!r}; it is no text of UTF-8") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        known = ", ".join(samples())
        raise LocalError(f"plan is {name!r}; {why}: give a file, or one of {known}") from None
    return read(text, path.stem)
