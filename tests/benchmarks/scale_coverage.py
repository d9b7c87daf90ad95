"""Whether every address that lists or counts something is measured, by the service's own list of its addresses."""

import logging
import re
from collections.abc import Iterable

from django.urls import resolve

from tests.webapp import walk

#: Addresses that list nothing: signing in, one's password and second factor, files and pictures, pages about one thing,
#: forms that only ask, what monitors and other programs ask, what browsers install, and the export of pictures and
#: DICOMweb: there are no pictures and no DICOM files.
LISTS_NOTHING = re.compile(
    r"(account|mfa|socialaccount|openid_connect)_.*|invitation|docs|schema|healthz|readyz|internal-staff|flower.*"
    r"|manifest|offline|service-worker|javascript-words|agreement-pdf|api-upload|predict-answer"
    r"|api-image-(heatmap|input|original|preview|report)|image-report|shared-link-image"
    r"|shared-link-(heatmap|preview)|queue-change|queue-reconcile|service-account-delete|api-reviews-export"
    r"|api-study-deidentified|dicomweb-.*"
    r"|(api-)?pacs-search|rule|sender|(rule|sender|destination|webhook)-delete|"
)


def forgotten(measured: Iterable[str]) -> list[str]:
    """Addresses that are neither among some that were measured nor known to list nothing."""
    names = {resolve(url.partition("?")[0]).url_name for url in measured}
    logging.disable()  # each view is asked for a method that it does not know
    routes = [route for route in walk.routes() if route.method == "GET" and not LISTS_NOTHING.fullmatch(route.name)]
    logging.disable(logging.NOTSET)
    return [route.path for route in routes if route.name not in names]
