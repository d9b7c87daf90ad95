"""Delivery: send the outbox to other systems."""
