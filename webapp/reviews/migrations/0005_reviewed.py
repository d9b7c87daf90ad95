"""Lists tell images with a verdict from those without."""

from django.db import migrations

CHUNK = 2000


def mark(apps, schema_editor):
    alias = schema_editor.connection.alias
    Image, Review = apps.get_model("studies", "Image"), apps.get_model("reviews", "Review")
    reviews = Review.objects.using(alias).order_by("pk").values_list("pk", "image_id")
    chunk = list(reviews[:CHUNK])
    while chunk:
        Image.objects.using(alias).filter(pk__in=[image for _, image in chunk]).update(reviewed=True)
        chunk = list(reviews.filter(pk__gt=chunk[-1][0])[:CHUNK])


class Migration(migrations.Migration):
    dependencies = [("reviews", "0004_name_former_readers"), ("studies", "0015_findable")]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
