"""Prepare uploads: decode, check, store the preview and the model's input."""
