"""Which models this installation uses."""

from pathlib import Path

from django.conf import settings

from ml.bundles.bundle import Bundle
from ml.errors import BundleError


def current() -> Bundle:
    """The bundle that ``MODEL_BUNDLE`` names.

    Its threshold is that of the operating point that ``OPERATING_POINT`` names, else its own default.

    Raises:
        BundleError: if it is missing or unreadable, or has no such operating point.
    """
    found = named(settings.MODEL_BUNDLE)
    return found.at(settings.OPERATING_POINT) if settings.OPERATING_POINT else found


def shadows() -> list[Bundle]:
    """The bundles that read every image beside the current one, as ``SHADOW_BUNDLES`` names them.

    Raises:
        BundleError: where one cannot be read.
    """
    return [named(name) for name in settings.SHADOW_BUNDLES]


def named(name: str) -> Bundle:
    """Find a bundle by its path, by its folder's name in ``models/``, or by its family (its newest release).

    A new family never replaces another one by itself; the setting has to name it.

    Raises:
        BundleError: if there is no bundle of that name.
    """
    for path in (Path(name), settings.MODELS_DIR / name):
        if path.is_dir():
            return Bundle.read(path)
    every = [Bundle.read(file.parent) for file in settings.MODELS_DIR.glob("*/bundle.json")]
    family = [bundle for bundle in every if bundle.name == name]
    if not family:
        there = ", ".join(sorted(bundle.id for bundle in every)) or "none"
        raise BundleError(f"no model bundle {name!r} in {settings.MODELS_DIR}; there: {there}")
    return max(family, key=_release)


def _release(bundle: Bundle) -> tuple[int, ...]:
    """A bundle's version, in its order."""
    try:
        return tuple(int(part) for part in bundle.version.split("."))
    except ValueError:
        raise BundleError(f"{bundle.path} has the version {bundle.version!r}; it must be numbers and dots") from None
