"""
Examples that run: every ``>>>`` in the README, in ``doc/`` and in the docstrings of ``lab/``,
and every ``.. code-block:: python`` in ``doc/``, is a test.
"""

import os
from doctest import ELLIPSIS
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sybil import Sybil
from sybil.parsers.rest import DocTestParser, PythonCodeBlockParser, SkipParser

_ROOT = str(Path(__file__).parent)
_examples = DocTestParser(optionflags=ELLIPSIS)


def _begin(namespace: dict[str, Any]) -> None:
    """Let the examples of a document write their files where they are gone afterwards."""
    namespace["_before"] = Path.cwd()
    namespace["_folder"] = TemporaryDirectory()
    os.chdir(namespace["_folder"].name)


def _end(namespace: dict[str, Any]) -> None:
    """Go back."""
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


pytest_collect_file = (
    Sybil([_examples], path=_ROOT, patterns=["README.rst", "lab/**/*.py"])
    + Sybil(
        [_examples, PythonCodeBlockParser(), SkipParser()],
        path=_ROOT,
        pattern="doc/**/*.rst",
        setup=_begin,
        teardown=_end,
    )
).pytest()
