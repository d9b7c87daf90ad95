"""The outbox: what has to leave for another system, written in the same transaction as what it announces."""
