"""
Examples that run: every ``>>>`` in the README, in ``doc/`` and in the docstrings of ``lab/``,
and every ``.. code-block:: python`` in ``doc/``, is a test.
"""

from doctest import ELLIPSIS
from pathlib import Path

from sybil import Sybil
from sybil.parsers.rest import DocTestParser, PythonCodeBlockParser, SkipParser

_ROOT = str(Path(__file__).parent)
_examples = DocTestParser(optionflags=ELLIPSIS)

pytest_collect_file = (
    Sybil([_examples], path=_ROOT, patterns=["README.rst", "lab/**/*.py"])
    + Sybil([_examples, PythonCodeBlockParser(), SkipParser()], path=_ROOT, pattern="doc/**/*.rst")
).pytest()
