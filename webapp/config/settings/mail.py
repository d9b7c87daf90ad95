"""E-mails: by which server, from whom, and whom people may ask."""

from webapp.config.settings.base import env

#: Such as ``smtp+tls://user:password@mail.hospital.example:587``; ``consolemail://`` writes mails to the log.
EMAIL_URL = env("EMAIL_URL", default="")
MAIL_CONFIGURED = bool(EMAIL_URL)
vars().update(env.email_url_config(EMAIL_URL or "consolemail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env("DEFAULT_FROM_EMAIL", default="PneumoQueue <pneumoqueue@localhost>")
#: Whom people are told to ask, such as an address or an extension.
ADMIN_CONTACT = env("ADMIN_CONTACT", default="")
