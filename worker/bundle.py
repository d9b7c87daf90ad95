"""Which model this installation uses."""

from pathlib import Path

from django.conf import settings

from ml.bundles.bundle import Bundle
from ml.errors import BundleError


def current() -> Bundle:
    """The bundle that ``MODEL_BUNDLE`` names (a path, or a folder's name in ``models/``), else the newest release.

    Its threshold is that of the operating point that ``OPERATING_POINT`` names, else its own default.

    Raises:
        BundleError: where there is none, it cannot be read, or it has no such operating point.
    """
    found = _chosen()
    return found.at(settings.OPERATING_POINT) if settings.OPERATING_POINT else found


def _chosen() -> Bundle:
    if settings.MODEL_BUNDLE:
        named = Path(settings.MODEL_BUNDLE)
        return Bundle.read(named if named.is_dir() else settings.MODELS_DIR / settings.MODEL_BUNDLE)
    found = [Bundle.read(file.parent) for file in settings.MODELS_DIR.glob("*/bundle.json")]
    if not found:
        raise BundleError(f"no model bundle in {settings.MODELS_DIR}")
    return max(found, key=_release)


def _release(bundle: Bundle) -> tuple[int, ...]:
    """A bundle's version, in its order."""
    try:
        return tuple(int(part) for part in bundle.version.split("."))
    except ValueError:
        raise BundleError(f"{bundle.path} has the version {bundle.version!r}; it must be numbers and dots") from None
