"""Notify people and other systems of events: news, e-mails, and webhooks signed by https://www.standardwebhooks.com."""
