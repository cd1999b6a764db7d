"""What data are: classes and phases, a study, ROIs, a `LesionSet`, seeds."""
