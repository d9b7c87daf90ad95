"""Accounts, cookies, tokens, and where webhooks may go."""

from webapp.config import networks
from webapp.config.settings.base import env

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "webapp.accounts.identity.client_address"
AXES_LOCKOUT_CALLABLE = "webapp.http.problems.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
# Who signed in is in the log; a table of it would grow for ever.
AXES_DISABLE_ACCESS_LOG = True
CSRF_FAILURE_VIEW = "webapp.http.problems.csrf_failure"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
GUEST_TOKEN_DAYS = env.int("GUEST_TOKEN_DAYS", default=30)
API_TOKEN_DAYS = env.int("API_TOKEN_DAYS", default=365)
SECURE_COOKIES = env.bool("SECURE_COOKIES", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
# Browsers accept a cookie with this prefix over TLS only and from this host only, so that nobody else can plant one.
_PREFIX = "__Host-" if SECURE_COOKIES else ""
SESSION_COOKIE_NAME = f"{_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{_PREFIX}csrftoken"
GUEST_COOKIE = f"{_PREFIX}guest"
if env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
FLOWER_URL = env("FLOWER_URL", default="")
#: Where nginx keeps the storage's folder as an internal location, so that it sends the files and not this process;
#: without it, this process does.
X_ACCEL_PREFIX = env("X_ACCEL_PREFIX", default="")
#: A file that a worker and beat keep young while all is well with them, for their container's health check.
ALIVE_PATH = env("ALIVE_PATH", default="")

#: Where people reach the service; what is sent to other systems names studies by it.
PUBLIC_URL = env("PUBLIC_URL", default=f"http://127.0.0.1:{env('PORT', default='8000')}").rstrip("/")
#: Networks inside the hospital to which webhooks may go, also over plain HTTP. All other private addresses are refused,
#: so that nobody makes this service ask what only it can reach.
WEBHOOK_ALLOWED_NETWORKS = networks.parse("WEBHOOK_ALLOWED_NETWORKS", env.list("WEBHOOK_ALLOWED_NETWORKS", default=[]))
