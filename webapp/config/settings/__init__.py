"""Settings, which come only from the environment. Every default suits development on one machine."""

from webapp.config import production
from webapp.config.settings.api import *
from webapp.config.settings.base import *
from webapp.config.settings.data import *
from webapp.config.settings.dicom import *
from webapp.config.settings.limits import *
from webapp.config.settings.mail import *
from webapp.config.settings.people import *
from webapp.config.settings.work import *

production.refuse(
    ENVIRONMENT,
    production.problems(
        debug=DEBUG,
        secret_key=env("SECRET_KEY", default=""),
        database=DATABASES["default"],
        brokers={"REDIS_URL": REDIS_URL},
        others={"ADMIN_PASSWORD": env("ADMIN_PASSWORD", default="")},
        plain_hosts=[] if SECURE_COOKIES or env.bool("ALLOW_PLAIN_HTTP", default=False) else ALLOWED_HOSTS,
    ),
)
