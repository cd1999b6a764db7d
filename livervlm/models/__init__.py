"""Networks and what surrounds them: encoders, text, prompts, training, baselines."""

import lazy_loader

# The modules that the face of the package shows whole.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["augmentation", "pretext", "tiny_clip", "zero_shot"])
