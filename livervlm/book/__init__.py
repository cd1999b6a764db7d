"""What a reader of the book touches: figures, figures that move, widgets, exercises."""

import lazy_loader

# The modules that the face of the package shows whole.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["exercises"])
