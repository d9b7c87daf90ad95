"""The models that this installation uses."""

from django.conf import settings

from ml.bundles.bundle import Bundle
from ml.errors import BundleError
from webapp.ops import model_files


def current() -> Bundle:
    """The bundle that ``MODEL_BUNDLE`` names, at the operating point ``OPERATING_POINT`` or else at its own default.

    Raises:
        BundleError: the bundle is missing or unreadable, or has no such operating point.
    """
    selected = named(settings.MODEL_BUNDLE)
    return selected.at(settings.OPERATING_POINT) if settings.OPERATING_POINT else selected


def shadows() -> list[Bundle]:
    """The bundles in ``SHADOW_BUNDLES``, which read every image in addition to the current one.

    Raises:
        BundleError: a bundle cannot be read.
    """
    return [named(name) for name in settings.SHADOW_BUNDLES]


def named(name: str) -> Bundle:
    """Return the bundle with a name; see :func:`webapp.ops.model_files.folder`.

    Raises:
        BundleError: there is no bundle with that name.
    """
    try:
        return Bundle.read(model_files.folder(name))
    except model_files.NoModelError as error:
        raise BundleError(str(error)) from None
