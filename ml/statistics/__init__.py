"""Metrics, calibration, operating points, intervals and paired tests. Arrays in, numbers out."""
