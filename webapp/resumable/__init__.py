"""Uploads that can be resumed after an interruption, by the tus protocol (https://tus.io, version 1.0.0)."""
