"""The outbox: deliveries to other systems, written in the transaction of the change that they announce."""
