"""A phantom of focal liver lesions in multi-phase CT, built from published numbers; the book's default data."""

from .cohort import PHANTOM_VERSION, make_cohort, phantom_study, table1

__all__ = ["PHANTOM_VERSION", "make_cohort", "phantom_study", "table1"]
