"""All of PneumoQueue on one machine without containers: what `make run` starts."""
