"""E-mails: by which server, from whom, and whom people may ask instead."""

from webapp.config.settings.base import env

#: For example ``smtp+tls://user:password@mail.hospital.example:587``; ``consolemail://`` writes mails to the log.
#: Without it, nothing is sent.
EMAIL_URL = env("EMAIL_URL", default="")
vars().update(env.email_url_config(EMAIL_URL or "dummymail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env("DEFAULT_FROM_EMAIL", default="PneumoQueue <pneumoqueue@localhost>")
#: The contact that pages name: a person, an address or an extension.
ADMIN_CONTACT = env("ADMIN_CONTACT", default="")
