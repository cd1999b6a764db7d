"""Real scans: DICOM and NIfTI in and out, and the table (CSV) that turns a cohort of them into a `LesionSet`.

SimpleITK does the reading, the geometry and the resampling; nothing outside this package imports it.
"""
