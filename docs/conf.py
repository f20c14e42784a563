"""Sphinx's settings for the site; `build.py` stages the pages and runs Sphinx on them."""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Any

project, author, copyright = "scmlib", "the scmlib authors", "2026, the scmlib authors"
version = release = installed("scmlib")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["**/.ipynb_checkpoints"]

# Pages from the notebooks as they are committed: nothing runs here.
nb_execution_mode = "off"
nb_merge_streams = True
nb_number_source_lines = False
nb_ipywidgets_js: dict[str, Any] = {}  # no widgets from another host; `frames.py` makes sliders of our own
myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_inline"]
myst_heading_anchors = 4
suppress_warnings = ["mystnb.unknown_mime_type"]

# Docstrings write code between single backticks: what is a name of ours becomes a link.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_use_type_comments = False
autodoc_default_options = {"exclude-members": "set"}  # matplotlib writes it into every figure
python_maximum_signature_line_length = 90
napoleon_google_docstring, napoleon_numpy_docstring = True, False

html_theme = "pydata_sphinx_theme"
html_title = "scmlib"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["print.js"]
html_copy_source = False
html_show_sourcelink = False
html_favicon = "_static/favicon.svg"
SINGLE = (
    "index",
    "live",
    "explore",
    "gallery",
    "README",
    "design",
    "teaching",
    "elsewhere",
    "CHANGELOG",
    "CONTRIBUTING",
    "SECURITY",
    "cite",
)
html_sidebars: dict[str, list[str]] = {name: [] for name in SINGLE}  # no sections
html_theme_options = {
    "logo": {"text": "scmlib"},
    "navigation_depth": 2,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
    "navbar_end": ["theme-switcher"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}


def markdown_tables(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings draw tables as Markdown does, and stars that stand for themselves; reStructuredText needs help."""
    told: list[str] = []
    for line in lines:
        row = line.lstrip().startswith("|")
        if row and not (told and told[-1].lstrip().startswith("|")):
            told += ["::", ""]
        told.append(f"   {line}" if row else line.replace("(*", "(\\*").replace(" *size", " \\*size"))
    lines[:] = told


def setup(app: Any) -> dict[str, bool]:
    """Formulas become MathML, which browsers draw themselves; no script has to be fetched for them."""
    from docutils import nodes
    from docutils.utils.math.latex2mathml import tex2mathml

    app.connect("autodoc-process-docstring", markdown_tables)

    def inline(self: Any, node: nodes.math) -> None:
        self.body.append(tex2mathml(node.astext(), as_block=False))
        raise nodes.SkipNode

    def block(self: Any, node: nodes.math_block) -> None:
        self.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
        raise nodes.SkipNode

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


html_math_renderer = "mathml"
