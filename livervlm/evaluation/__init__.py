"""What answers are worth: measures, comparisons, forensics, Grad-CAM."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["forensics"])
