"""A phantom of focal liver lesions in multi-phase CT, built from published numbers; the book's default data."""

from .cohort import make_cohort, phantom_study
from .patients import PHANTOM_VERSION, Knobs, Patient, draw_patients, table1

__all__ = ["PHANTOM_VERSION", "Knobs", "Patient", "draw_patients", "make_cohort", "phantom_study", "table1"]
