"""Figures that a reader moves without a kernel: a script and its arrays lie in the cell's own output.

They work in the static page, in Jupyter and in Colab, and ask no network for anything.  Without JavaScript, or
in a notebook that is not trusted, a still picture takes their place.

Each figure is one Python file with its script beside it; `shared` holds what all of them need.
"""

from .interval_and_pairs import interval_and_pairs as interval_and_pairs
from .key_slice import key_slice as key_slice
from .map_reader import map_reader as map_reader
from .name_the_lesion import name_the_lesion as name_the_lesion
from .phase_order import phase_order as phase_order
from .promises import promises as promises
from .quadrants import quadrants as quadrants
from .shared import MovingFigure as MovingFigure
from .similarity_space import similarity_space as similarity_space
from .thresholds import thresholds as thresholds
from .window_level import WINDOWS as WINDOWS
from .window_level import window_level as window_level
