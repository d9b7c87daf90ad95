"""Metrics, calibration, operating points, intervals and paired tests. The functions take arrays and return numbers."""
