"""Settings of accounts, cookies and tokens, and of addresses that webhooks may use."""

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from webapp.config import networks
from webapp.config.settings.base import env
from webapp.config.settings.mail import EMAIL_URL

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
# The first hasher makes new hashes. A password with another hash is hashed anew when its owner signs in.
PASSWORD_HASHERS = [
    "webapp.accounts.hashers.Argon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
CSRF_FAILURE_VIEW = "webapp.http.problems.csrf_failure"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

# --- the lockout of a user name at a client address, after wrong passwords or second-factor codes ---
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "webapp.accounts.lockout.attempted_name"
AXES_CLIENT_IP_CALLABLE = "webapp.accounts.identity.client_address"
AXES_LOCKOUT_CALLABLE = "webapp.accounts.lockout.answer"
AXES_RESET_ON_SUCCESS = True
# Further attempts do not prolong the lockout, because the page says when it ends.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_VERBOSE = False
# The log has all sign-ins. A table would grow forever.
AXES_DISABLE_ACCESS_LOG = True
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "login", "code", "oldpassword"]

# --- registration, e-mail addresses and sessions: django-allauth ---
#: Who may register: everybody (``open``), people with an invitation (``invite``), or nobody (``closed``).
REGISTRATION = env("REGISTRATION", default="invite")
if REGISTRATION not in ("open", "invite", "closed"):
    raise ImproperlyConfigured(f"REGISTRATION={REGISTRATION} is not known; use open, invite or closed.")
INVITATION_DAYS = env.int("INVITATION_DAYS", default=14)
ACCOUNT_ADAPTER = "webapp.accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if EMAIL_URL else "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[PneumoQueue] "
ACCOUNT_EMAIL_NOTIFICATIONS = bool(EMAIL_URL)
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
# Only the lockout above is used. These limits count in the cache; if it were down, nobody could sign in.
ACCOUNT_RATE_LIMITS = {"login": None, "login_failed": None, "reauthenticate": None}
MFA_RATE_LIMITS = False
ACCOUNT_FORMS = {
    "login": "webapp.accounts.forms.LoginForm",
    "reset_password": "webapp.accounts.forms.ResetPasswordForm",
    "signup": "webapp.accounts.forms.SignupForm",
    "add_email": "webapp.accounts.forms.AddEmailForm",
}

MFA_ADAPTER = "webapp.accounts.adapters.MFAAdapter"
MFA_FORMS = {
    "authenticate": "webapp.accounts.forms.AuthenticateForm",
    "reauthenticate": "webapp.accounts.forms.ReauthenticateForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "PneumoQueue"
MFA_TOTP_TOLERANCE = 1  # the phone's clock may be wrong by half a minute
MFA_ALLOW_UNVERIFIED_EMAIL = not EMAIL_URL

# --- single sign-on with the hospital's own accounts, by OpenID Connect ---
SOCIALACCOUNT_ADAPTER = "webapp.accounts.adapters.SocialAccountAdapter"
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
OIDC_SERVER_URL = env("OIDC_SERVER_URL", default="")
_OIDC = {
    "provider_id": "sso",
    "name": env("OIDC_NAME", default="Single sign-on"),
    "client_id": env("OIDC_CLIENT_ID", default=""),
    "secret": env("OIDC_CLIENT_SECRET", default=""),
    "settings": {"server_url": OIDC_SERVER_URL},
}
if OIDC_SERVER_URL and not _OIDC["client_id"]:
    raise ImproperlyConfigured("OIDC_SERVER_URL is set, and OIDC_CLIENT_ID is missing.")
CSP_FORM_TARGETS = ["{0.scheme}://{0.netloc}".format(urlsplit(OIDC_SERVER_URL))] if OIDC_SERVER_URL else []
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [_OIDC] if OIDC_SERVER_URL else []}}

GUEST_TOKEN_DAYS = env.int("GUEST_TOKEN_DAYS", default=30)
API_TOKEN_DAYS = env.int("API_TOKEN_DAYS", default=365)
SECURE_COOKIES = env.bool("SECURE_COOKIES", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SECURE_COOKIES
# Browsers accept a cookie with this prefix only over TLS and only from this host, so that no other host can set it.
_PREFIX = "__Host-" if SECURE_COOKIES else ""
SESSION_COOKIE_NAME = f"{_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{_PREFIX}csrftoken"
GUEST_COOKIE = f"{_PREFIX}guest"
# Sent only over TLS. If a proxy terminates TLS, the proxy sends this header itself.
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=0)
# Without TLS, browsers offer passkeys on localhost only.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not SECURE_COOKIES
if env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
#: The address at which administrators open Flower, and the one from which the web process fetches Flower's pages if no
#: proxy does.
FLOWER_URL = env("FLOWER_URL", default="")
FLOWER_UPSTREAM = env("FLOWER_UPSTREAM", default="")
FLOWER_BASIC_AUTH = env("FLOWER_BASIC_AUTH", default="")
#: The internal location under which nginx serves the storage's folder, so that nginx sends the files. Without it, this
#: process sends them.
X_ACCEL_PREFIX = env("X_ACCEL_PREFIX", default="")
#: A file that healthy workers and beat keep touching, for the health checks of their containers.
ALIVE_PATH = env("ALIVE_PATH", default="")

#: The public URL of the service, used in links that are sent to people and other systems.
PUBLIC_URL = env("PUBLIC_URL", default=f"http://127.0.0.1:{env('PORT', default='8000')}").rstrip("/")
#: Networks inside the hospital to which webhooks may be sent, also over plain HTTP. All other private addresses are
#: refused, so that no user can make this service send requests to internal addresses.
WEBHOOK_ALLOWED_NETWORKS = networks.parse("WEBHOOK_ALLOWED_NETWORKS", env.list("WEBHOOK_ALLOWED_NETWORKS", default=[]))
