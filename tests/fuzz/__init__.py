"""Bodies and archives that nobody would send on purpose: each case follows from its number."""
