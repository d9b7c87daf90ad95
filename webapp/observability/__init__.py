"""Logs, request ids, and optional exporters to Sentry and OpenTelemetry."""
