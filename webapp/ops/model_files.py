"""Find the folder of the model that the settings name. Only ``ml`` knows everything about its contents."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

DESCRIPTION = "bundle.json"


class NoModelError(Exception):
    """The settings name no model, or an operating point that it does not have."""


def folder(name: str) -> Path:
    """Find a bundle by its path, by the name of its folder in ``models/``, or the newest release of a family.

    A new family never replaces another one automatically; the setting has to name it.

    Raises:
        NoModelError: there is no bundle of that name.
    """
    for path in (Path(name), settings.MODELS_DIR / name):
        if path.is_dir():
            return path
    bundles = {file.parent: described(file.parent) for file in settings.MODELS_DIR.glob(f"*/{DESCRIPTION}")}
    family = [path for path, meta in bundles.items() if meta["name"] == name]
    if not family:
        names = ", ".join(sorted(f"{meta['name']}-{meta['version']}" for meta in bundles.values())) or "none"
        raise NoModelError(f"no model bundle {name!r} in {settings.MODELS_DIR}; there: {names}")
    return max(family, key=lambda path: _release(path, bundles[path]["version"]))


def described(path: Path) -> dict[str, Any]:
    """The description of a bundle, with its name and version among others.

    Raises:
        NoModelError: it is missing, or cannot be read.
    """
    try:
        meta = json.loads((path / DESCRIPTION).read_text())
        return {**meta, "name": str(meta["name"]), "version": str(meta["version"])}
    except FileNotFoundError:
        raise NoModelError(f"{path} is no model bundle: it has no {DESCRIPTION}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoModelError(f"{path}/{DESCRIPTION} cannot be read: {error}") from None


def check(name: str, point: str = "") -> str:
    """Check that a bundle exists, and has its weights and an operating point.

    Returns:
        The model and the operating point, in words.

    Raises:
        NoModelError: something is missing.
    """
    path = folder(name)
    meta = described(path)
    title = f"{meta['name']}-{meta['version']}"
    points = meta.get("operating_points") or {meta.get("operating_point", "default"): {}}
    if point and point not in points:
        raise NoModelError(f"{title} has no operating point {point!r}; it has {', '.join(points)}")
    weights = path / str(meta.get("weights", {}).get("file", "weights.npz"))
    if not weights.is_file() or not weights.stat().st_size:
        raise NoModelError(f"{weights} is missing")
    chosen = point or meta.get("operating_point", "default")
    return _("model %(name)s, operating point %(point)s") % {"name": title, "point": chosen}


def _release(path: Path, version: str) -> tuple[int, ...]:
    """A bundle's version as numbers, for comparison."""
    try:
        return tuple(int(part) for part in version.split("."))
    except ValueError:
        raise NoModelError(f"{path} has the version {version!r}; it must be numbers and dots") from None
