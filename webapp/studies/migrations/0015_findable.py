"""Lists of images are narrowed by what their results say, which is written with each image from now on.

Stop the workers first: what those of the release before write after this has read the results is not found by its result.
Going back drops the columns; the results themselves are in the readings.
"""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

CHUNK = 2000
UNUSABLE = "unusable"
LABELS = ("NORMAL", "PNEUMONIA")


class AddColumn(migrations.AddField):
    """A column with a constant default of the database's own, for which nothing is copied.

    Django copies a whole table of SQLite for it, since SQLite could not drop a default that the column shall not keep.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "sqlite":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        BaseDatabaseSchemaEditor.add_field(schema_editor, model, model._meta.get_field(self.name))


def copy_results(apps, schema_editor):
    """Write the results that there are, some at a time."""
    connection = schema_editor.connection
    Image, Reading = (apps.get_model("studies", name) for name in ("Image", "Reading"))
    group = connection.ops.quote_name("group")  # a word of SQL's own
    sql = f"UPDATE studies_image SET {group}=%s, label=%s, probability=%s, warning_codes=%s WHERE id=%s"  # noqa: S608
    results = Reading.objects.using(connection.alias).filter(shadow=False, state="succeeded").order_by("pk")
    results = results.values_list("pk", "image_id", "group", "label", "probability", "warnings")
    chunk = list(results[:CHUNK])
    while chunk:
        rows = []
        for _, image, group, label, probability, warnings in chunk:
            codes = " ".join(sorted({warning["code"] for warning in warnings}))
            key = Image._meta.pk.get_db_prep_value(image, connection)
            shown = ("", None) if group == UNUSABLE else (label if label in LABELS else "", probability)
            rows.append((group, *shown, f" {codes} "[:255] if codes else "", key))
        with connection.cursor() as cursor:
            cursor.executemany(sql, rows)
        chunk = list(results.filter(pk__gt=chunk[-1][0])[:CHUNK])


def text(length, **more):
    return models.CharField(blank=True, default="", db_default="", max_length=length, **more)


def source():
    return models.CharField(choices=[("upload", "uploaded")], default="upload", db_default="upload", max_length=10)


class Migration(migrations.Migration):
    dependencies = [("studies", "0014_patients")]

    operations = [
        AddColumn("image", "source", source()),
        AddColumn("study", "source", source()),
        AddColumn(
            "image",
            "group",
            text(
                10,
                choices=[
                    ("positive", "Signs of pneumonia"),
                    ("unclear", "Unclear: have it read first"),
                    ("negative", "No signs of pneumonia found"),
                    ("unusable", "Probably no usable chest X-ray"),
                ],
            ),
        ),
        AddColumn("image", "label", text(100, help_text="empty where unusable")),
        AddColumn(
            "image",
            "probability",
            models.FloatField(blank=True, null=True, help_text="of pneumonia; null where unusable"),
        ),
        AddColumn("image", "warning_codes", text(255, help_text="a blank before and after each")),
        AddColumn(
            "image",
            "reviewed",
            models.BooleanField(default=False, db_default=False, help_text="whether a reader has given a verdict"),
        ),
        migrations.RunPython(copy_results, migrations.RunPython.noop),
        migrations.RemoveIndex("image", "studies_ima_study_i_ef7886_idx"),
        migrations.AddIndex(
            "image", models.Index(fields=["study", "status", "group"], name="studies_ima_study_i_155eac_idx")
        ),
        *(
            migrations.AddIndex(
                "image",
                models.Index(
                    fields=[*first, "status", "group", "label", "priority", "reviewed", "-created_at", "-id"],
                    condition=models.Q(**{f"{first[0]}__isnull": False}) if first else None,
                    name=f"studies_image{name}_facets",
                ),
            )
            for first, name in ((["owner"], "_owne"), (["department"], "_depa"), ([], ""))
        ),
        *(
            migrations.AddIndex(
                "image",
                models.Index(
                    fields=[*first, "-created_at", "-id", "warning_codes"],
                    condition=models.Q(**{f"{first[0]}__isnull": False} if first else {}, warning_codes__gt=""),
                    name=f"studies_image{name}_warned",
                ),
            )
            for first, name in ((["owner"], "_owne"), (["department"], "_depa"), ([], ""))
        ),
    ]
