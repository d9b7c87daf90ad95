"""What each code means, for people who read the pages in a language other than English.

Programs, and people who read English, get the sentence that was written where the refusal or failure occurred. It
contains sizes, names and limits. The sentences here do not, so that they can be translated.
"""

from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Codes of refusals by the domain: the keys of :data:`webapp.http.codes.STATUSES`.
REFUSALS: dict[str, "StrOrPromise"] = {
    "already_finished": _("This is already finished."),
    "archive_corrupt": _("The ZIP is damaged. Please create it again."),
    "archive_empty": _("The ZIP contains no images."),
    "archive_encrypted": _("The ZIP has a password. Please create one without."),
    "archive_method_not_supported": _("The ZIP uses an unsupported compression. Please create it again."),
    "archive_not_here": _("A ZIP is not accepted here. Please send it as a study."),
    "archive_not_supported": _("This kind of archive is not supported. Please create a ZIP."),
    "archive_split": _("The ZIP is split into several files. Please create a single one."),
    "archive_too_large": _("The ZIP is too large when unpacked. Please send it in parts."),
    "authentication_failed": _("The user name, password or token is wrong."),
    "calibration_changed": _("The verdicts have changed since this page was shown. Please look at it again."),
    "calibration_not_in_force": _("This calibration is not in force any more. Please look at the page again."),
    "checksum_mismatch": _("A part of the file arrived damaged. Please send it again."),
    "content_encoding_not_supported": _("Compressed requests are not supported."),
    "daily_limit_reached": _("The daily upload limit is reached. Please continue tomorrow."),
    "department_not_found": _("There is no such department, or you may not send to it."),
    "destination_disabled": _("This destination is switched off. Switch it on first."),
    "email_not_verified": _("Please verify your e-mail address first."),
    "file_damaged": _("The stored file has changed since the upload. Please upload it again."),
    "file_empty": _("The file is empty. Please choose it again."),
    "file_gone": _("The uploaded file is no longer there."),
    "file_too_large": _("The file is too large."),
    "format_not_supported": _("This kind of file is not supported. Please export a PNG or TIFF."),
    "idempotency_key_reused": _("This was sent before with different content."),
    "image_corrupt": _("The image is damaged and cannot be decoded. Please export it again."),
    "invalid_base64": _("The image is not encoded correctly."),
    "invalid_cursor": _("This page of the list no longer exists. Please start at the top."),
    "invalid_destination": _("These settings of the destination are not valid. Please check them."),
    "invalid_expiry": _("A link cannot be valid for so long."),
    "invalid_job_token": _("The token of this job is not valid."),
    "invalid_name": _("Please give a name with letters or digits."),
    "invalid_parameter": _("One of the filters is not valid."),
    "invalid_role": _("There is no such role here."),
    "invalid_setting": _("These settings do not go together."),
    "invitation_not_valid": _("This invitation is no longer valid."),
    "is_member": _("This user is already a member of the department."),
    "is_service_account": _("This is not for a service account."),
    "last_administrator": _(
        "The service needs an administrator who can sign in. Please make someone else an administrator first."
    ),
    "last_manager": _("A department needs a manager. Please make someone else a manager first."),
    "mail_unavailable": _("The mail could not be sent. Please check the address, and try again in a few minutes."),
    "malformed_request": _("The request cannot be read. Please try again."),
    "manifest_too_large": _("The manifest is too large."),
    "manifest_unreadable": _("The manifest cannot be read. Please save it again as CSV in UTF-8."),
    "name_missing": _("Please give a name."),
    "name_taken": _("This name is already in use. Please choose another."),
    "no_heatmap": _("There is no map of this image."),
    "no_such_user": _("There is no other account with this name. Please ask your colleague for theirs."),
    "no_token": _("There is no token."),
    "not_a_reviewer": _("Only readers can give a verdict on this image."),
    "not_accepting": _("Uploads are not accepted at present. Please try again later."),
    "not_allowed": _("You may not do this. Please ask a manager or an administrator."),
    "not_an_image": _("This is not an image."),
    "not_an_uploader": _("You may not send images to this department."),
    "not_failed": _("Only what has failed can be read again."),
    "not_made_yet": _("This object does not exist yet. Please try again in a moment."),
    "not_read_yet": _("The model has not read this image yet."),
    "not_waiting": _("This image no longer waits, so it cannot be changed."),
    "patient_exists": _("A patient with this identifier already exists."),
    "patient_gone": _("This patient no longer exists."),
    "patient_without_identifier": _("Please give the patient an identifier."),
    "patients_not_mergeable": _("These two patients cannot be merged."),
    "registration_closed": _("Nobody can register here without an invitation."),
    "representation_not_available": _("This is not available in the requested format."),
    "reviewed_meanwhile": _("Another reader has given a verdict on this image while you had it open."),
    "scores_against_verdicts": _(
        "The model’s scores do not increase with your readers' verdicts, so no score can be chosen on these images."
    ),
    "second_factor_required": _("Please sign in with your second factor."),
    "second_factor_unreadable": _("Your second factor can no longer be read. An administrator can remove it."),
    "session_changed": _("You have signed in or out since this page was opened. Please reload it."),
    "signed_out": _("You are signed out. Please sign in again."),
    "study_gone": _("The study was deleted."),
    "study_cancelled": _("This study was cancelled."),
    "study_too_large": _("The study is too large. Please send it in parts."),
    "svg_not_supported": _("An SVG is a drawing, not an X-ray."),
    "no_such_pacs": _("Please choose one of the department's PACS that may be searched."),
    "no_such_study": _("Please choose studies found by this search."),
    "pacs_busy": _("This department already has many requests at its PACS. Please wait a moment."),
    "search_too_wide": _("Please enter a patient or dates to search for."),
    "too_few_verdicts": _("Too few children of each kind have a verdict to choose a score."),
    "too_many_destinations": _("A department has no more than 20 destinations."),
    "too_many_files": _("These are too many files at once. Please send the rest separately."),
    "too_many_rules": _("A department has no more than 50 rules."),
    "too_many_searches": _("There are too many saved views. Please delete one first."),
    "too_many_shares": _("This is shared too often. Please end one of the shares first."),
    "too_many_webhooks": _("There are too many webhooks. Please delete one first."),
    "tus_version_not_supported": _("This version of tus is not supported."),
    "unknown_operating_point": _("The model has no such operating point."),
    "unknown_parameter": _("The address names a filter that does not exist."),
    "upload_busy": _("This upload is being written by another request. Please try again."),
    "user_not_found": _("There is no user with this name or e-mail address, or more than one."),
    "webhook_inactive": _("This webhook is inactive. Please add it again."),
    "webhook_url_refused": _("Webhooks cannot be sent to this address."),
    "wrong_offset": _("This part does not continue the part of the file that has arrived."),
    "csrf_failed": _("This page is out of date. Nothing was changed. Please reload it and try again."),
    "forbidden": _("You may not do this."),
    "host_not_allowed": _("This service is not configured for this name. Please tell its administrator."),
    "internal_error": _("Something went wrong on the server; it was logged."),
    "invalid_request": _("Something in the request is not valid."),
    "locked_out": _("There were too many wrong passwords or codes."),
    "method_not_allowed": _("This cannot be done here."),
    "not_authenticated": _("Please sign in first."),
    "not_found": _("This does not exist, or you may not see it."),
    "not_read_in_time": _("The image was not read in time. Please check again later."),
    "permission_denied": _("You may not do this."),
    "rate_limited": _("Too many requests. Please wait a minute."),
    "storage_unavailable": _("The storage does not answer. Please try again in a few minutes."),
    "unsupported_request_format": _("The format of the request is not supported."),
}
#: Codes of failed images and ZIPs that are not among the codes above: :data:`webapp.http.codes.FAILURES`.
FAILURES: dict[str, "StrOrPromise"] = {
    "dicom_not_a_radiograph": _("The DICOM file is not a radiograph but, for example, a CT or an ultrasound."),
    "dicom_without_pixels": _("The DICOM file contains no image but, for example, a report."),
    "encoding_not_supported": _("The encoding of the image is not supported. Please export a PNG."),
    "file_missing": _("The uploaded file is missing. Please upload it again."),
    "image_too_large": _("The image has too many pixels."),
    "image_too_small": _("The image has too few pixels to be read."),
    "image_truncated": _("The file is cut off. Please upload it again."),
    "input_missing": _("The image prepared for the model is missing. Please try again."),
    "model_error": _("The model could not read this image. Please try again."),
    "out_of_memory": _("The image needs too much memory. Please export a smaller one."),
    "pdf_encrypted": _("The PDF has a password. Please save one without."),
    "pdf_without_picture": _("The PDF has no scanned picture on its first page."),
    "several_pictures": _("The file contains several pictures. Please send each as a separate file."),
    "worker_crashed": _("Reading this image failed several times. Please tell the administrator."),
}
#: Warnings about results, :class:`webapp.studies.choices.WarningCode`, and about manifests.
WARNINGS: dict[str, "StrOrPromise"] = {
    "not_chest_xray": _(
        "This does not look like an upright frontal chest X-ray. Please send it upright, with air dark and bone bright."
    ),
    "chest_turned": _("It looks like a chest X-ray that is inverted, lies on its side or hangs upside down."),
    "chest_from_the_side": _("It looks like a chest X-ray from the side. The model learnt from frontal views only."),
    "photograph_of_film": _(
        "This looks like a photograph of a film or of a screen, so no label is given. Please export the X-ray as a "
        "picture file, or scan the film."
    ),
    "age_outside_training": _(
        "The model learnt mostly from children aged one to five. Its answer is not reliable here."
    ),
    "view_not_frontal": _("The model learnt from frontal views only. Its answer is not reliable here."),
    "not_frontal_chest": _(
        "According to the file this is not a frontal chest X-ray, so no label is given. Please check the image."
    ),
    "for_processing": _("The file has raw detector data (for processing). The model was trained on processed images."),
    "birth_date_differs": _(
        "The date of birth in the file differs from this patient's. Please check whose image this is."
    ),
    "instance_sent_before": _("An image with the same DICOM identifier was sent before."),
    "borders_removed": _(
        "A border was cut off before the image was read. Please check that nothing of the X-ray is missing."
    ),
    "evidence_outside_lungs": _(
        "The parts that raised the model's score most lie outside the lungs. That is a reason to distrust the answer."
    ),
    "map_outside_chest": _(
        "The parts that raised the model's score most lie outside the chest. That is a reason to distrust the answer."
    ),
    "metadata_ignored": _("The file's metadata is damaged and was not read."),
    "end_missing": _("The end marker of the file is missing. All pixels are there and were read."),
    "manifest_column_unknown": _("The manifest has columns that were not read."),
    "manifest_file_repeated": _("The manifest names a file more than once."),
    "manifest_row_ambiguous": _("A row of the manifest matches several files."),
    "manifest_sex_differs": _("The manifest gives a sex that differs from the patient's known sex."),
    "manifest_sex_without_patient": _("The manifest gives a sex without a patient."),
    "manifest_value_invalid": _("The manifest has values that are not valid."),
}
SENTENCES = {**REFUSALS, **FAILURES, **WARNINGS}


def in_words(code: str, detail: str) -> str:
    """The sentence for a refusal, failure or warning in the language of the page.

    Args:
        code: a key of one of the tables above.
        detail: the English sentence.
    """
    if get_language() in (None, settings.LANGUAGE_CODE):
        return detail
    return str(SENTENCES.get(code, detail))
