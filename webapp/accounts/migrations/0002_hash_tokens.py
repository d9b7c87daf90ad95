"""Tokens of earlier releases go on working: their hashes are kept, and the tokens themselves are deleted.

Their table stays, empty, for the earlier release to be rolled back to. It belongs to no app any more.
"""

import hashlib
from datetime import timedelta

from django.db import migrations
from django.utils import timezone

TABLE = "authtoken_token"
DAYS = 365


def hash_tokens(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        if TABLE not in connection.introspection.table_names(cursor):
            return
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA secure_delete = ON")
        key = connection.ops.quote_name("key")
        cursor.execute(f"SELECT {key}, user_id FROM {TABLE}")  # noqa: S608  (two constants)
        found = cursor.fetchall()
        Token = apps.get_model("accounts", "Token")
        Token.objects.using(connection.alias).bulk_create(
            [
                Token(
                    digest=hashlib.sha256(token.encode()).hexdigest(),
                    user_id=user,
                    name="from an earlier release",
                    expires_at=timezone.now() + timedelta(days=DAYS),
                )
                for token, user in found
            ],
            ignore_conflicts=True,
        )
        cursor.execute(f"DELETE FROM {TABLE}")  # noqa: S608


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunPython(hash_tokens, migrations.RunPython.noop)]
