"""Detectors of liver lesions on whole abdomens of the phantom, taught on some studies and tested on others.

`python -m livervlm.analyses.detection --cohorts N --out FOLDER` teaches a detector for each cohort and writes a record.
"""
