"""How passwords are hashed."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id as OWASP advises where memory is short: Django's own 100 MB a password, times the threads of a web
    process, would not fit into its container.
    """

    memory_cost = 19 * 1024  # KiB
    time_cost = 2
    parallelism = 1
