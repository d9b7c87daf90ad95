"""Password hasher."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id with OWASP's parameters for little memory. Django's default takes 100 MB per password. For all threads
    of a web process, that would not fit into its container.
    """

    memory_cost = 19 * 1024  # KiB
    time_cost = 2
    parallelism = 1
