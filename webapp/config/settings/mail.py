"""Settings of e-mails: the server, the sender, and the contact that pages show."""

from webapp.config.settings.base import env

#: For example ``smtp+tls://user:password@mail.hospital.example:587``; ``consolemail://`` writes mails to the log.
#: Without it, nothing is sent.
EMAIL_URL = env("EMAIL_URL", default="")
vars().update(env.email_url_config(EMAIL_URL or "dummymail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env("DEFAULT_FROM_EMAIL", default="PneumoQueue <pneumoqueue@localhost>")
#: Contact shown on pages: a person, an address or a phone extension.
ADMIN_CONTACT = env("ADMIN_CONTACT", default="")
