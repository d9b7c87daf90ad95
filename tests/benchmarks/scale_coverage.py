"""Checks against the service's own routes that every URL that lists or counts something is measured."""

import logging
import re
from collections.abc import Iterable

from django.urls import resolve

from tests.webapp import walk

#: Names of URLs that list nothing: sign-in, password and second factor, files and pictures, pages about one object,
#: confirmation forms, URLs for monitors and other programs, and files that browsers install. Exports of pictures and
#: DICOMweb are left out as well, since the benchmark has no pictures and no DICOM files.
LISTS_NOTHING = re.compile(
    r"(account|mfa|socialaccount|openid_connect)_.*|invitation|docs|schema|healthz|readyz|internal-staff|flower.*"
    r"|manifest|offline|service-worker|javascript-words|agreement-pdf|api-upload|predict-answer"
    r"|api-image-(heatmap|input|original|preview|report)|image-report|shared-link-image"
    r"|shared-link-(heatmap|preview)|queue-change|queue-reconcile|service-account-delete|api-reviews-export"
    r"|api-study-deidentified|dicomweb-.*"
    r"|(api-)?pacs-search|rule|sender|(rule|sender|destination|webhook)-delete|"
)


def unmeasured(measured: Iterable[str]) -> list[str]:
    """Paths of URLs that are neither measured nor known to list nothing."""
    names = {resolve(url.partition("?")[0]).url_name for url in measured}
    logging.disable()  # the walk calls each view with an unknown method
    routes = [route for route in walk.routes() if route.method == "GET" and not LISTS_NOTHING.fullmatch(route.name)]
    logging.disable(logging.NOTSET)
    return [route.path for route in routes if route.name not in names]
