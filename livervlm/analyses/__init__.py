"""Studies of studies: a near-ideal observer, Grad-CAM scored."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["explained"])
