"""Data sets: images by class and patient, held-out folds, reviewed images."""
