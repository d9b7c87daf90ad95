"""Measure a bundle on held-out patients and write its model card."""
