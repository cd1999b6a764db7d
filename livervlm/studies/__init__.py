"""Real scans: DICOM and NIfTI in and out, and the table (CSV) that turns a cohort of them into a `LesionSet`.

SimpleITK does the reading, the geometry and the resampling; nothing outside this package imports it.
"""

from .manifest import import_studies, parse_box
from .study import read_study, write_study
from .volumes import read_mask, read_volume

__all__ = ["import_studies", "parse_box", "read_mask", "read_study", "read_volume", "write_study"]
