"""Which models this installation uses."""

from django.conf import settings

from ml.bundles.bundle import Bundle
from ml.errors import BundleError
from webapp.ops import model_files


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
    """The bundle of a name; see :func:`webapp.ops.model_files.folder`.

    Raises:
        BundleError: if there is no bundle of that name.
    """
    try:
        return Bundle.read(model_files.folder(name))
    except model_files.NoModelError as error:
        raise BundleError(str(error)) from None
