"""The verdicts that there are stand in the place of the model's answers.

Where readers disagree none stands: such images are listed for a third reader. Going back gives images the groups of the
model again.
"""

from collections import defaultdict

from django.db import migrations

CHUNK = 500
GROUPS = {"PNEUMONIA": "positive", "NORMAL": "negative", "UNSURE": "unclear", "UNUSABLE": "unusable"}


def chunks(apps, alias):
    """The keys of the images that have verdicts, some at a time."""
    found = apps.get_model("reviews", "Review").objects.using(alias).order_by("image_id")
    found = found.values_list("image_id", flat=True).distinct()
    keys = list(found[:CHUNK])
    while keys:
        yield keys
        keys = list(found.filter(image_id__gt=keys[-1])[:CHUNK])


def write(apps, schema_editor):
    alias = schema_editor.connection.alias
    reviews = apps.get_model("reviews", "Review").objects.using(alias)
    images = apps.get_model("studies", "Image").objects.using(alias)
    for keys in chunks(apps, alias):
        said = defaultdict(set)
        for image, verdict in reviews.filter(image__in=keys).values_list("image_id", "verdict"):
            said[image].add(verdict)
        by_verdict = defaultdict(list)
        for image, verdicts in said.items():
            sure = verdicts - {"UNSURE"} or verdicts
            by_verdict[sure.pop() if len(sure) == 1 else ""].append(image)
        for verdict, some in by_verdict.items():
            stands = {"stage": "done", "verdict": verdict, "group": GROUPS[verdict]} if verdict else {}
            images.filter(pk__in=some).update(**(stands or {"stage": "disagreed"}))


def take_back(apps, schema_editor):
    alias = schema_editor.connection.alias
    readings = apps.get_model("studies", "Reading").objects.using(alias)
    images = apps.get_model("studies", "Image").objects.using(alias)
    for keys in chunks(apps, alias):
        by_group = defaultdict(list)
        results = readings.filter(image__in=keys, shadow=False, state="succeeded")
        for image, group in results.values_list("image_id", "group"):
            by_group[group].append(image)
        for group, some in by_group.items():
            images.filter(pk__in=some).update(group=group)


class Migration(migrations.Migration):
    dependencies = [("reviews", "0006_worklist")]

    operations = [migrations.RunPython(write, take_back)]
