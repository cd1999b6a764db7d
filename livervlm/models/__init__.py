"""Networks and what surrounds them: encoders, text, prompts, training, baselines."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ["augmentation", "cascade", "pretext", "tiny_clip", "zero_shot"]
)
