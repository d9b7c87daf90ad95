"""Decoders of picture files, one module per format: from a file's bytes to its pixels and their metadata."""
