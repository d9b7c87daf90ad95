"""What waits, what works on it and what went wrong, for administrators and managers; and what they do about it."""
