"""What every worker process needs: logs, metrics, presence, connections, tracing."""
