"""The model in the page: a small Liver-VLM that answers in the reader's browser, without a kernel or a server.

`live_panel` makes the panel, `live_answer` gives its answers in Python.  The scripts lie beside these files.
"""

from .moves import Moves as Moves
from .moves import live_answer as live_answer
from .panel import live_panel as live_panel
from .player import lesion_player as lesion_player
