"""What moves with a live kernel (Jupyter, Colab); works with ipywidgets 7 and 8."""

import ipywidgets
from matplotlib import pyplot as plt

from ..scans.conventions import WINDOW
from ..scans.lesions import LesionSet
from .figures import lesion_grid


def browse(lesions: LesionSet) -> ipywidgets.VBox:
    """Leaf through every slice of a set and move the window of Hounsfield units."""
    low, high = WINDOW
    index = ipywidgets.IntSlider(0, 0, len(lesions) - 1, description="slice")
    level = ipywidgets.IntSlider((low + high) / 2, -200, 300, description="level, HU")
    width = ipywidgets.IntSlider(high - low, 20, 800, description="width, HU")

    def draw(index: int, level: int, width: int) -> None:
        lesion_grid(lesions, [index], (level - width / 2, level + width / 2))
        plt.show()

    picture = ipywidgets.interactive_output(draw, {"index": index, "level": level, "width": width})
    return ipywidgets.VBox([index, level, width, picture])
