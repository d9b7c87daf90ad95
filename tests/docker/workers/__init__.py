"""The project's own worker image against real brokers and a real database, by pytest-celery."""
