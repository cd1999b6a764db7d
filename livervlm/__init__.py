"""Liver-VLM: a vision-language model for focal liver lesions in multi-phase CT.

For teaching and research, not for diagnosis.  Importing the package is cheap: every room is imported by name.
"""

__version__ = "0.1.0"
