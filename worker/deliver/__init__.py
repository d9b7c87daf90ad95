"""Delivery: send what is in the outbox to other systems."""
