"""Studies of studies: a near-ideal observer, Grad-CAM scored, key slices retrieved, lesions detected."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["explained", "key_slices"])
