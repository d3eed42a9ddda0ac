"""Settings of the site, see tools/build_docs.py."""

from cmae_mm.datasets.pixel_shift import PixelShift
from cmae_mm.version import __version__

project = 'cmae_mm'
author = 'cmae_mm contributors'
copyright = author
release = version = __version__
root_doc = 'docs/index'
html_title = f'cmae_mm {version}'
html_theme = 'furo'
html_static_path = []
html_show_sourcelink = False
extensions = [
    'myst_nb',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx_copybutton',
    'sphinx_design',
]
suppress_warnings = [
    # The READMEs of the repository start where their folder stands in the tree.
    'myst.header',
    # Docstrings name a class by its last name; some packages share one.
    'ref.python',
]
myst_enable_extensions = ['colon_fence', 'dollarmath', 'html_image']
myst_heading_anchors = 4
copybutton_exclude = '.linenos, .gp, .go'
nb_execution_mode = 'off'  # tools/build_docs.py has run them
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # the docstrings say types, shapes and units
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# mmcv's wrapper of a method that draws cannot be looked into without an instance.
PixelShift.draw_offset = vars(PixelShift)['draw_offset'].func
