"""Uploads that go on after an interruption, by the tus protocol (https://tus.io, version 1.0.0)."""
