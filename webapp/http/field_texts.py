"""What fields mean that several answers have, for the OpenAPI document, where their serializers do not say it."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.plumbing import get_lib_doc_excludes

from webapp.http.serializers import FormSerializer, StrictSerializer, TypedSerializer

#: By name.
TEXTS = {
    "accession_number": "the order's number",
    "active": "whether it is still told of events",
    "alerts": "what calls for attention",
    "archives": "ZIPs",
    "at": "the moment of these numbers",
    "attempts": "how often it was tried",
    "backed_up": "when the last backup ended",
    "batch_size": "images that were read with it",
    "batches": "the latest ones",
    "birth_date": "the patient's date of birth",
    "calibration": "scores beside what readers say",
    "code": "for programs",
    "comment": "what somebody wrote about it",
    "count": "how many there are",
    "counts": "images by status",
    "created_at": "when it was made or uploaded",
    "created_by": "whose doing it is",
    "date": "of the study",
    "date_until": "the last day that counts",
    "days": "how many",
    "dead": "given up",
    "delivered_at": "when it arrived",
    "department": "the slug of the department that it belongs to; null where a person or a guest owns it",
    "departments": "by department",
    "description": "of the study",
    "detail": "for people",
    "device": "what it computes with",
    "duplicates": "earlier files of the same owner with the same content",
    "edges": "between the parts",
    "enabled": "whether anything is sent there",
    "engine": "what runs the model",
    "error": "why it failed; null where it did not",
    "errors": "ZIPs of which not all files became images, and why",
    "event": "what it tells of",
    "expires_at": "until when it is valid; null for no end",
    "features": "by feature of the images",
    "file": "the image",
    "filename": "the file's name",
    "filters": "the list's parameters",
    "final_by": "whose answer `final_group` is",
    "finished_at": "when it came to its end",
    "free_bytes": "what is free where files are stored",
    "given_at": "when it was given",
    "groups": "by the model's answer",
    "heatmap_url": "the map of what the result rests on; null where there is none",
    "height": "of the image, in pixels",
    "high": "the upper end of the 95 % interval",
    "host": "a name or an IP address",
    "id": "the key in its address",
    "identifier": "your own, unique for its owner",
    "image_url": "the image that was made",
    "images": "how many images",
    "images_url": "the list of its images",
    "in_hand_seconds": "for how long it has had what it works on",
    "incoming": "what comes in",
    "infer_s": "for reading its batch",
    "infer_wait_s": "until the model read it",
    "ingest_s": "for preparing it",
    "ingest_wait_s": "until it was prepared",
    "input_url": "exactly what the model saw, once that is prepared",
    "label": "`PNEUMONIA` from `threshold` up; null before there is a result, and where it is not reliable",
    "last_attempt_at": "when something was last sent there",
    "last_outcome": "what came of that",
    "living": "whether it has lately shown signs of life",
    "low": "the lower end of the 95 % interval",
    "manifest": "what was found in manifests; null without one",
    "max_batch": "images that it reads at once",
    "median": "the middle value",
    "memory_bytes": "what its processes take",
    "modalities": "joined by a backslash, as in DICOM",
    "model": "the model's name and version",
    "models": "by model",
    "months": "by month",
    "n": "how many images are compared",
    "name": "what it is called",
    "names": "the first of them",
    "next": "the address of the next page; null on the last one",
    "oldest_seconds": "for how long the oldest has waited",
    "operating_point": "the name of the threshold that `label` follows",
    "operating_points": "all thresholds of the model, by name",
    "out_per_minute": "images that left it, over five minutes",
    "overdue_seconds": "for how long the oldest has been due",
    "pacs": "the destination that is searched",
    "page_url": "its page for people",
    "parts": "whether each part of the service is well",
    "password": "the user's",
    "patient": "your identifier of the patient; empty or null for none",
    "patient_id": "the patient's identifier at the PACS",
    "patient_name": "as the PACS has it",
    "port": "of TCP",
    "preview_url": "a picture of it that browsers show, once it is prepared",
    "previous": "the address of the page before; null on the first one",
    "priority": "`bulk` waits for `interactive`",
    "probability": "of pneumonia, between 0 and 1",
    "probability_normal": "of a normal image, by the model's second output",
    "purged": "when what has expired was last deleted",
    "queues": "by step and priority",
    "reader": "the user name",
    "ready": "whether it takes work",
    "reconciled": "when lost messages were last looked for",
    "refused": "files that were not taken, and why",
    "reliable": "whether `label` may be relied on",
    "result_group": "what the result means: go by this one",
    "results": "those of this page",
    "results_url": "its table, a CSV",
    "retrievals": "what of it is fetched",
    "retrying": "what is sent once more",
    "review_stage": "how far readers have come with it",
    "reviewer": "the reader's user name",
    "seconds": "how long it took",
    "seen_at": "its last sign of life",
    "sex": "the patient's; empty where it is not known",
    "sha256": "of the file, as hexadecimal digits",
    "shift": "how different the two are",
    "since": "from when on",
    "size": "images in it",
    "skipped": "names of files that are no images of patients, such as `.DS_Store`",
    "slug": "its short name in addresses",
    "study": "the address of its study, or as a filter a study's id",
    "study_uid": "the Study Instance UID",
    "study_url": "the study that was made, or that it was added to",
    "threshold": "the probability from which on `label` is `PNEUMONIA`",
    "timings": "how long each step took",
    "tls": "whether the connection is encrypted",
    "token": "it gives access, and is shown only now",
    "total": "images that it has, and those that its ZIPs still hold",
    "total_s": "from the upload to the result",
    "updated_at": "when it was last changed",
    "url": "its address in this API",
    "username": "the user name",
    "value": "the number itself",
    "verdict": "what the reader says",
    "verdict_kind": "of a pneumonia, where readers name it",
    "view": "how it was taken; empty where nobody said so",
    "waiting": "how many wait",
    "warnings": "what is to be known of the result, each with `code` and `detail`",
    "width": "of the image, in pixels",
    "worker": "which one read it",
    "workers": "those that have reported",
}
#: Of parameters in addresses.
KEYS = {
    "id": "the key in its own `url`",
    "share": "the share's `id`",
    "slug": "the department's `slug`",
    "token": "the token's `id`",
    "study": "a study's id",
}


def describe_fields(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A drf-spectacular hook: say what each field and each parameter is, where nothing else has said it."""
    for schema in result["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            if name in TEXTS and "$ref" not in field:
                field.setdefault("description", TEXTS[name])
    for operations in result["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in KEYS:
                    parameter.setdefault("description", KEYS[parameter["name"]])
    return result


def classes_without_texts() -> list[type]:
    """Base classes whose docstrings are about their code, and describe none of their subclasses to a client."""
    known: Callable[[], list[type]] = get_lib_doc_excludes
    return [*known(), FormSerializer, TypedSerializer, StrictSerializer]
