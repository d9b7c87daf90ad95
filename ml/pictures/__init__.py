"""Decode, preprocess, augment and draw pictures."""
