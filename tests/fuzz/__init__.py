"""Malformed bodies and archives: each case is generated from its number."""
