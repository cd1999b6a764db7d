"""What answers are worth: measures, comparisons, detection, forensics, Grad-CAM."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["detection", "forensics"])
