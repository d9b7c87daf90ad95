"""Warnings, and the images of patients, are found and narrowed by one index each, which has all that is compared."""

from django.db import migrations, models
from django.db.models import Q

FACETS = ["status", "group", "label", "priority", "reviewed"]
WARNED = (
    ("owner", "studies_image_owne_warned"),
    ("department", "studies_image_depa_warned"),
    ("", "studies_image_warned"),
)


def warned(owner, name):
    owned = Q(**{f"{owner}__isnull": False}) if owner else Q()
    first = [owner] if owner else []
    others = [other for other in ("owner", "department") if owner not in ("", other)]
    fields = [*first, "-created_at", "-id", "warning_codes", *FACETS, *others]
    return models.Index(fields=fields, condition=owned & Q(warning_codes__gt=""), name=name)


class Migration(migrations.Migration):
    dependencies = [("studies", "0023_pauses")]

    operations = [
        *(
            operation
            for owner, name in WARNED
            for operation in (
                migrations.RemoveIndex("image", name),
                migrations.AddIndex("image", warned(owner, name)),
            )
        ),
        migrations.AddIndex(
            "image",
            models.Index(
                fields=["patient", "created_at", "id", "owner", "department", *FACETS],
                name="studies_image_pati_search",
            ),
        ),
    ]
