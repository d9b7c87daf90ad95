"""REST Framework and the OpenAPI document."""

from webapp.config.settings.base import VERSION, env

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webapp.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["webapp.http.parsers.JSONParser"],
    "DEFAULT_METADATA_CLASS": "webapp.http.metadata.Metadata",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "webapp.http.negotiation.AnyAccept",
    "DEFAULT_PAGINATION_CLASS": "webapp.http.pagination.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "webapp.http.schema.AutoSchema",
    "EXCEPTION_HANDLER": "webapp.http.problems.exception_handler",
    "DEFAULT_THROTTLE_RATES": {
        "guest": env("GUEST_RATE", default="240/min"),
        "user": env("USER_RATE", default="1200/min"),
        "login": env("LOGIN_RATE", default="30/min"),
        "link": env("LINK_RATE", default="600/min"),
    },
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "PneumoQueue",
    "DESCRIPTION": (
        "Reads chest X-rays for pneumonia. Not a diagnosis.\n\n"
        "`POST /api/v1/images/` takes an X-ray and answers at once with the address of the image; `GET` that address "
        "with `?wait=60` until `status` is `succeeded`, `failed` or `cancelled`. Act on `result_group`. "
        "`POST /api/v1/studies/` takes many files and ZIPs.\n\n"
        "Users with an account send a token (`POST /api/v1/auth/token/`) in the header `Authorization`. Guests send "
        "the `token` from the response to their upload in the header `X-Job-Token`.\n\n"
        "Errors are problem documents (RFC 9457) with a `code`. Lists come in pages: follow `next`."
    ),
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",  # names of operations leave out this prefix
    "COMPONENT_SPLIT_REQUEST": True,
    "GET_LIB_DOC_EXCLUDES": "webapp.http.field_texts.classes_without_texts",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "webapp.http.field_texts.describe_fields",
        "webapp.http.schema.describe_operations",
        "webapp.http.schema.describe_texts",
    ],
    "ENUM_NAME_OVERRIDES": {
        "DeliveryStateEnum": "webapp.studies.outbox.models.State",
        "SearchStateEnum": "webapp.dicom.models.Progress",
        "RoleEnum": "webapp.departments.models.Role",
        "ImageStatusEnum": "webapp.studies.choices.Status",
        "StudyStatusEnum": "webapp.studies.progress.STATUSES",
        "ResultGroupEnum": "webapp.studies.choices.ResultGroup",
        "ReviewStageEnum": "webapp.studies.choices.ReviewStage",
        "PneumoniaKindEnum": "webapp.studies.choices.PneumoniaKind",
        "TrueFalseEnum": ["true", "false"],
        "ViewEnum": "webapp.studies.choices.View",
        "QueueStateEnum": "webapp.queues.api.STATES",
        "ComparisonStateEnum": "webapp.agreement.incoming.State",
        "SentViewEnum": "webapp.studies.choices.SENT_VIEWS",
    },
}
