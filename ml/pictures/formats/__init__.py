"""A module for each way pictures are stored: from a file's bytes to its pixels and their metadata."""
