"""Retention: delete expired data and unreferenced files, and report each run."""
