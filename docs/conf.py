"""Settings of Sphinx; docs/build.py runs it."""

import re
from typing import Any

import numpy.typing
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

numpy.typing.ArrayLike = type("ArrayLike", (), {"__module__": "numpy.typing"})  # its name, not the union it stands for

from prpose import __version__  # noqa: E402

project = "prpose"
author = "The prpose developers"
copyright = author
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_math_renderer = "mathml"  # browsers draw it without a script

html_theme = "furo"
html_title = "prpose"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = ">>> |... "
copybutton_prompt_is_regexp = True

TEX = {
    "(.)\u0302": r"\\hat{\1}",
    "(.)\u0303": r"\\tilde{\1}",
    "²": "^2",
    "³": "^3",
    "‖": r"\\Vert ",
}  # that docstrings have as characters
SHORTER = {
    r", ~?[\w.]*_ArgConfig\((?:[^()]|\([^()]*\))*\)|, ~?[\w.]*FlagCreatePairsOff": "",
    r"~?\w+\.Annotated\[((?:[^\[\]]|\[[^\]]*\])*)\]": r"\1",
    r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[([^]]*)\]\]": r"~numpy.typing.NDArray[\1]",
    r"<function .*?<lambda>>|<function <lambda>>|<factory>": "...",
}
"""What signatures say at length, and what a reader needs of it."""


def escape_stars(app: Any, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """In shapes such as (S, *, J, 3), a star is a star, not the begin of emphasis."""
    lines[:] = [re.sub(r"(?<=[( ])\*(?=[,)])", r"\\*", line) for line in lines]


def write_formula(writer: Any, node: Any) -> None:
    text = node.astext()
    for pattern, tex in TEX.items():
        text = re.sub(pattern, tex, text)
    writer.body.append(tex2mathml(text, as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def shorten(
    app: Any, kind: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> Any:
    """Types of arrays and options as one would write them, and defaults that are no literals as dots."""
    if signature is None:
        return None
    for pattern, text in SHORTER.items():
        signature = re.sub(pattern, text, signature)
    return signature, returns


def setup(app: Any) -> None:
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.connect("autodoc-process-docstring", escape_stars)
    app.connect("autodoc-process-signature", shorten)
