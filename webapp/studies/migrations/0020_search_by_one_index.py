"""Many matches of a search are found, narrowed and sorted by one index, which has all that is compared."""

from django.conf import settings
from django.db import migrations, models

TIME_ID_OWNER = ("timestamptz_ops", "uuid_ops", "int4_ops", "uuid_ops")
OWNED = ("created_at", "id", "owner", "department")


def index(model, field, *compared, operators=()):
    return models.Index(
        fields=[field, *OWNED, *compared],
        opclasses=["varchar_pattern_ops", *TIME_ID_OWNER, *operators],
        name=f"studies_{model}_search",
    )


FACETS = ("status", "group", "label", "priority", "reviewed")
INDEXES = [
    ("image", index("image", "filename", *FACETS, operators=("text_ops",) * 4 + ("bool_ops",))),
    ("study", index("study", "name", "cancelled_at", operators=("timestamptz_ops",))),
    ("patient", index("patient", "identifier")),
]


class Migration(migrations.Migration):
    dependencies = [
        ("departments", "0005_prevalence"),
        ("studies", "0019_bundles"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        operation
        for model, made in INDEXES
        for operation in (
            migrations.RemoveIndex(model_name=model, name=made.name),
            migrations.AddIndex(model_name=model, index=made),
        )
    ]
