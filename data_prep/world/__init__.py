"""A drawn world of pedestrians, in which the right answer is known for every pixel.

From single things to a folder of images, each module using only those above it: `layers` and `canvas` (drawing tools);
`body`, `painting`, `identities`, `pedestrian` (people); `scenes`, `cameras`, `boxes`, `occluders` (all around them);
`settings`; `rendering` (one image, or a pair with and without its occluder); `folder` (a world on disk).
"""

from data_prep.world.folder import draw_world, read_pair, read_settings, write_world
from data_prep.world.identities import Attributes
from data_prep.world.occluders import KINDS
from data_prep.world.pedestrian import POSES, VIEWS
from data_prep.world.rendering import Pair, identities, render, render_pair
from data_prep.world.settings import PRESETS, SPLITS, World, changed

__all__ = [
    "KINDS",
    "POSES",
    "PRESETS",
    "SPLITS",
    "VIEWS",
    "Attributes",
    "Pair",
    "World",
    "changed",
    "draw_world",
    "identities",
    "read_pair",
    "read_settings",
    "render",
    "render_pair",
    "write_world",
]
