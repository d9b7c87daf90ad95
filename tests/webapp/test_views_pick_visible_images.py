"""A view that picks images says who may see them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

WEBAPP = Path(__file__).resolve().parents[2] / "webapp"
VIEWS = re.compile(r"(^|/)(\w+_)?(views|pages)\.py$|(^|/)(api|web|dashboard)/")
#: Methods of the queryset that leave the images of an identity, or those that belong to an image which it sees.
SAY_WHO = {"visible_to", "shared_with", "sent_before", "of_patient_before", "none"}
#: Methods that pick no images: the rows go to ``visible_image`` or ``narrowed``, which ask who may see them.
PICK_NONE = {"all", "only", "select_related", "prefetch_related"}
#: Modules in which something else decides: what a caller narrows, and a link.
OTHERS = {"studies/api/lists.py", "dashboard/shares.py"}


def calls_on_images(source: str) -> Iterator[list[str]]:
    """The methods that are called on each ``Image.objects``, one after the other."""
    tree = ast.parse(source)
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "Image.objects":
            names, part = [], above[node]
            while isinstance(part, ast.Attribute):
                names.append(part.attr)
                call = above[part]
                part = above[call] if isinstance(call, ast.Call) and call.func is part else call
            yield names


def picks_any(names: list[str]) -> bool:
    return not SAY_WHO & set(names) and not set(names) <= PICK_NONE


def test_views_pick_images_by_who_may_see_them() -> None:
    modules = {str(file.relative_to(WEBAPP)): file.read_text() for file in WEBAPP.rglob("*.py")}
    views = {name: source for name, source in modules.items() if VIEWS.search(name)}
    found = {name for name, source in views.items() if any(map(picks_any, calls_on_images(source)))}
    assert found == OTHERS, "begin with visible_to(), or use webapp.studies.access"


def test_what_counts_as_picking() -> None:
    picked = ("x(Image.objects.only('a').filter(pk=1).first())", "Image.objects.get(pk=1)", "Image.objects.get")
    asked = (
        "narrowed(Image.objects.all(), who).filter(a=1)",
        "Image.objects.visible_to(who).filter(a=1)",
        "x(Image.objects)",
    )
    for sources, expected in ((picked, True), (asked, False)):
        assert [picks_any(next(calls_on_images(source))) for source in sources] == [expected] * 3
