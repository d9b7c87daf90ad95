"""The project's worker image with real brokers and a real database, by pytest-celery."""
