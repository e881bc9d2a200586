"""Sphinx: builds the documentation site, `make docs`.

The source folder is the repository's root, so that links between the README, docs/ and the code are
the same ones on the site as in a checkout; files that are no pages are offered as downloads.
"""

import pathlib
from typing import Any

import anon_jax

project = 'anon_jax'
version = release = anon_jax.__version__
root_doc = 'docs/index'
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
source_suffix = {'.md': 'markdown'}
include_patterns = [
  *('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'),
  *('docs/*.md', 'notebooks/*.md', 'benchmarks/*.md'),
]
# Folders that are not walked through: .venv may be a link to a large one.
exclude_patterns = ['.*', 'anon_jax', 'configs', 'tests', 'build', 'dist', 'runs', 'weights']
myst_heading_anchors = 4  # those that GitHub gives

# Docstrings are Google's, with code between single backquotes as in Markdown.
default_role = 'code'
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = 'bysource'
autodoc_typehints_format = 'short'
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

smartquotes = False  # values in tables are code
html_theme = 'furo'  # system fonts, no trackers: a page loads nothing from elsewhere
html_static_path = ['static']
html_css_files = ['site.css']
html_title = f'{project} {version}'
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
_TO_THE_INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>anon_jax</title>
<meta http-equiv="refresh" content="0; url=docs/index.html"></head>
<body><a href="docs/index.html">anon_jax</a></body></html>
"""


def setup(app: Any) -> None:
  """Has the site's root lead to the first page."""
  app.connect('build-finished', _write_root)


def _write_root(app: Any, failure: Exception | None) -> None:
  if failure is None and app.builder.format == 'html':
    pathlib.Path(app.outdir, 'index.html').write_text(_TO_THE_INDEX)
