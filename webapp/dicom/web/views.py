"""The views for searching (QIDO-RS) and storing (STOW-RS)."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from webapp.accounts.identity import identify
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.access import department_for
from webapp.dicom.models import Instance
from webapp.dicom.web import accepting, matching, multipart, searching, storing
from webapp.dicom.web.attributes import LEVELS, STUDY, element, of_levels
from webapp.dicom.web.base import DicomWebView
from webapp.dicom.web.retrieving import Retrieve
from webapp.refusals import Refused
from webapp.studies.api.throttles import UploadThrottle

#: Tags in responses.
RETRIEVE_URL, CLASS, UID, REASON, WARNING = "00081190", "00081150", "00081155", "00081197", "00081196"
FAILED, REFERENCED, OTHER_FAILURES = "00081198", "00081199", "0008119A"
NO_FUZZY = '299 pneumoqueue "There is no fuzzy matching. Values were compared as they are."'
MORE = '299 pneumoqueue "There are more results. Please ask for the next ones with offset."'


class Search(DicomWebView):
    """Search by QIDO-RS."""

    level = STUDY

    def get(self, request: Request, **uids: str) -> Response:
        accepting.require_json(request)
        query = matching.parse(request.query_params, self.level)
        # Attributes of levels that the URL already determines are returned only on request.
        attributes = of_levels(LEVELS[len(uids) : LEVELS.index(self.level) + 1], query.included)
        results = searching.search(self.images(), self.results(), self.level, query)
        record(identify(request), Action.LIST, Instance)
        rows = [
            {**item, RETRIEVE_URL: element("UR", self.url(*result_uids))}
            for result_uids, item in searching.as_json(results, self.level, attributes)
        ]
        warnings = [text for text, is_so in ((NO_FUZZY, query.fuzzy), (MORE, results.more)) if is_so]
        headers = {"Warning": ", ".join(warnings)} if warnings else None
        return Response(rows, headers=headers, content_type=accepting.JSON)


class Stores(DicomWebView):
    """Store by STOW-RS."""

    throttle_classes = (UploadThrottle,)

    def post(self, request: Request, study: str = "") -> Response:
        accepting.require_json(request)
        identity = identify(request)
        department = department_for(identity, request.query_params.get("department"))
        if department is None:
            raise Refused(
                "not_an_uploader",
                "Instances are stored for a department. Please name one in which you may upload: ?department=…",
            )
        groups = multipart.read(request)
        stored = [one for parts in groups for one in storing.store(identity, department, parts, study)]
        if not stored:
            raise Refused("malformed_request", "The request contains no instance.")
        failed = sum(bool(one.failure) for one in stored)
        status = 409 if failed == len(stored) else 202 if failed or any(one.warning for one in stored) else 200
        return Response(self._store_response(stored), status=status, content_type=accepting.JSON)

    def _store_response(self, stored: list[storing.Stored]) -> dict[str, Any]:
        """The Store Instances Response (PS3.18 10.5.3.2)."""
        response: dict[str, Any] = {}
        for one in stored:
            uids = one.attributes
            item = {CLASS: element("UI", uids["class_uid"]), UID: element("UI", uids["instance_uid"])} if uids else {}
            if one.failure:
                item[REASON] = element("US", one.failure)
            else:
                item[RETRIEVE_URL] = element("UR", self.url(*(uids[f"{name}_uid"] for name in LEVELS)))
            if one.warning:
                item[WARNING] = element("US", one.warning)
            tag = REFERENCED if not one.failure else FAILED if uids else OTHER_FAILURES
            response.setdefault(tag, {"vr": "SQ", "Value": []})["Value"].append(item)
        studies = {one.attributes["study_uid"] for one in stored if not one.failure}
        if len(studies) == 1:
            response[RETRIEVE_URL] = element("UR", self.url(studies.pop()))
        return response


class Studies(Search, Stores):
    """Search for studies, and store instances of any study."""


class Study(Retrieve, Stores):
    """Retrieve a study, and store instances of it."""
