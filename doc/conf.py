"""How Sphinx builds this documentation: ``sphinx-build -n -W -b html doc doc/_build``."""

from importlib.metadata import version as version_of
from typing import Any

from docutils.nodes import Element
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode
from twisted.internet import interfaces
from zope.interface.interface import InterfaceClass

from lab.sequence.sessions import ISessionStore

project = "txlab"
author = "The txlab founders"
copyright = author
version = release = version_of("txlab")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.zopeext.autointerface"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"txlab {release}"
html_copy_source = False

# Docstrings write names in single backticks; they become links, see `find_name`.
default_role = "py:obj"
highlight_language = "text"

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
# Types stand in the signature; `Args:` says what the arguments mean.
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_rtype = False
# `Attributes:` become a list, so that an attribute with a comment of its own is not there twice.
napoleon_use_ivar = True

_OTHERS = (
    *(
        "_pytest",
        "_socket",
        "attrs?",
        "collections",
        "concurrent",
        "multiprocessing",
        "numpy",
        "os",
        "pathlib",
    ),
    *("random", "re", "socket", "subprocess", "threading", "twisted", "typing", "zope"),
)
nitpick_ignore_regex = [
    # Other projects' pages are not fetched, so that a build needs no network.
    ("py:.*", rf"({'|'.join(_OTHERS)})\..*"),
    ("py:.*", r"prometheus_client\..*"),
    # Matplotlib is loaded when something is drawn, so its classes have their short names.
    ("py:class", "Axes|Figure"),
    ("py:obj", r"I[A-Z]\w+"),
    # An interface is described as one, and not as a class.
    ("py:class", r"lab\..*\.I[A-Z]\w+"),
    # What begins with an underscore is not described.
    ("py:class", r"lab\.(.*\.)?_\w+"),
    # Constants that are said with the class or function that uses them.
    ("py:obj", "OK|WRONG|TOKEN|OPERATORS"),
]

# Sphinx shows the name of a class, and that of an interface only if it finds it in the same place.
for interface in [*vars(interfaces).values(), ISessionStore]:
    if isinstance(interface, InterfaceClass):
        interface.__qualname__ = interface.__name__


def find_name(app: Sphinx, env: Any, node: Element, content: Element) -> Element | None:
    """Find what a short name means: something of the same room, or the only one of that name."""
    if node.get("reftype") != "obj":
        return None
    objects = env.get_domain("py").objects
    found = [name for name in objects if name.endswith(f".{node['reftarget']}")]
    near = [name for name in found if name.startswith(f"{node.get('py:module')}.")] or found
    if not near or (len(near) > 1 and near is found):
        return None
    there, document = objects[near[0]], node["refdoc"]
    return make_refnode(
        app.builder, document, there.docname, there.node_id, [content], title=near[0]
    )


_kept: dict[str, list[str]] = {}


def keep(app: Sphinx, what: str, name: str, it: Any, options: Any, lines: list[str]) -> None:
    """Remember what napoleon is going to misread: it takes words before a colon for a type."""
    if what in {"attribute", "data", "property"}:
        _kept[name] = list(lines)


def restore(app: Sphinx, what: str, name: str, it: Any, options: Any, lines: list[str]) -> None:
    """Take it back."""
    lines[:] = _kept.pop(name, lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add what stands above to Sphinx."""
    app.connect("missing-reference", find_name)
    app.connect("autodoc-process-docstring", keep, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
    return {"parallel_read_safe": True}
