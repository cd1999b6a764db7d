"""Liver-VLM: a vision-language model for focal liver lesions in multi-phase CT.

For teaching and research, not for diagnosis.  The names of the face stand in `__init__.pyi`; each is imported when it
is first used, so that importing the package is quick.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
