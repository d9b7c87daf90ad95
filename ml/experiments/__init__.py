"""Compare trainings and bundles side by side."""
