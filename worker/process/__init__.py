"""Support for every worker process: logs, metrics, presence, connections, tracing."""
