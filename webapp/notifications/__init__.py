"""Tell other systems what happened here: webhooks, signed as https://www.standardwebhooks.com describes it."""
