"""Figures: pure functions from tables and arrays to matplotlib, each with alt text made from the same numbers.

`from scmlib import figures`, then `figures.draw_cut(...)`; names load on first use, without torchvision.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
