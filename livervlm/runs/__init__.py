"""Runs and their records: rows, cells, one runner, cross-validation, results."""
