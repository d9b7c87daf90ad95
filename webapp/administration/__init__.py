"""Departments as their members, managers and the service's administrators see and change them: pages and API."""
