"""Real scans: DICOM and NIfTI in and out, and the table (CSV) that turns a cohort of them into a `LesionSet`.

pydicom reads headers, SimpleITK decodes and resamples; nothing outside this package imports either.
"""
