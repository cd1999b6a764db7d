"""What a reader of the book touches: figures, figures that move, widgets, exercises."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["exercises"])
