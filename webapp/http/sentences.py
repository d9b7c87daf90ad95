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
    "already_finished": _("This is finished already."),
    "archive_corrupt": _("The ZIP is damaged. Please make it again."),
    "archive_empty": _("The ZIP has no images in it."),
    "archive_encrypted": _("The ZIP needs a password. Please make one without."),
    "archive_method_not_supported": _("The ZIP is compressed in a way that is not read here. Please make it again."),
    "archive_not_here": _("A ZIP is not taken here. Please send it as a study."),
    "archive_not_supported": _("This kind of archive is not read. Please make a ZIP."),
    "archive_split": _("The ZIP is split into several files. Please make a single one."),
    "archive_too_large": _("The ZIP holds too much. Please send it in parts."),
    "authentication_failed": _("The user name, password or token is wrong."),
    "calibration_changed": _("The verdicts have changed since this page was shown. Please look at it again."),
    "calibration_not_in_force": _("This calibration is not in force any more. Please look at the page again."),
    "checksum_mismatch": _("A part of the file arrived damaged. Please send it again."),
    "content_encoding_not_supported": _("The request is compressed, which is not read here."),
    "daily_limit_reached": _("The limit of uploads for a day is reached. Please go on tomorrow."),
    "department_not_found": _("There is no such department, or you may not send to it."),
    "destination_disabled": _("This destination is switched off. Switch it on first."),
    "email_not_verified": _("Please verify your e-mail address first."),
    "file_empty": _("The file is empty. Please choose it again."),
    "file_gone": _("The uploaded file is no longer there."),
    "file_too_large": _("The file is too large."),
    "format_not_supported": _("Files of this kind are not read. Please export a PNG or TIFF."),
    "idempotency_key_reused": _("This was sent before with something else in it."),
    "image_corrupt": _("The image is damaged and cannot be decoded. Please export it again."),
    "invalid_base64": _("The image is not encoded rightly."),
    "invalid_cursor": _("This page of the list no longer exists. Please begin at its top."),
    "invalid_destination": _("A destination cannot be like that. Please look at its values."),
    "invalid_expiry": _("A link cannot be valid for so long."),
    "invalid_job_token": _("The token of this job is not valid."),
    "invalid_name": _("Please give a name with letters or digits."),
    "invalid_parameter": _("One of the filters is not valid."),
    "invalid_role": _("There is no such role here."),
    "invalid_setting": _("These settings do not go together."),
    "invitation_not_valid": _("This invitation is no longer valid."),
    "is_member": _("This user is a member of the department already."),
    "is_service_account": _("This is not for a service account."),
    "last_administrator": _("The service needs an administrator who can sign in. Please make somebody else one first."),
    "last_manager": _("A department needs a manager. Please make somebody else a manager first."),
    "mail_unavailable": _("The mail could not be sent. Please check the address, and try again in a few minutes."),
    "malformed_request": _("The request cannot be read. Please try again."),
    "manifest_too_large": _("The manifest is too large."),
    "manifest_unreadable": _("The manifest cannot be read. Please save it again as CSV in UTF-8."),
    "name_missing": _("Please give a name."),
    "name_taken": _("There is one of this name already. Please choose another."),
    "no_heatmap": _("There is no map of this image."),
    "no_such_user": _("There is no other account of this name. Please ask your colleague for theirs."),
    "no_token": _("There is no token."),
    "not_a_reviewer": _("Only readers can give a verdict on this image."),
    "not_accepting": _("Nothing is taken here at present. Please try again later."),
    "not_allowed": _("You may not do this. Please ask a manager or an administrator."),
    "not_an_image": _("This is no image."),
    "not_an_uploader": _("You may not send images to this department."),
    "not_failed": _("Only what has failed can be read again."),
    "not_made_yet": _("This object has not been made yet. Please ask again in a moment."),
    "not_read_yet": _("The model has not read this image yet."),
    "not_waiting": _("This no longer waits, so it cannot be changed."),
    "patient_exists": _("There is a patient with this identifier already."),
    "patient_gone": _("This patient no longer exists."),
    "patient_without_identifier": _("Please give the patient an identifier."),
    "patients_not_mergeable": _("These two patients cannot be merged."),
    "registration_closed": _("Nobody can register here without an invitation."),
    "representation_not_available": _("This is not available in the form that was asked for."),
    "reviewed_meanwhile": _("Another reader has given a verdict on this image while you had it open."),
    "scores_against_verdicts": _(
        "The model’s scores do not rise with what your readers say. Nothing can be chosen on these images."
    ),
    "second_factor_required": _("Please sign in with your second factor."),
    "second_factor_unreadable": _("Your second factor can no longer be read. An administrator can remove it."),
    "session_changed": _("You have signed in or out since this page was opened. Please reload it."),
    "signed_out": _("You are signed out. Please sign in again."),
    "study_gone": _("The study was deleted."),
    "study_cancelled": _("This study was cancelled."),
    "study_too_large": _("The study is too large. Please send it in parts."),
    "svg_not_supported": _("SVG is a drawing and no X-ray."),
    "no_such_pacs": _("Please name one of the department's PACS that may be searched."),
    "no_such_study": _("Please choose studies that this search has found."),
    "pacs_busy": _("This department asks its PACS for a lot already. Please wait a moment."),
    "search_too_wide": _("Please say for whom or for which days you search."),
    "too_few_verdicts": _("Too few children of each kind have a verdict. Nothing can be chosen on so few."),
    "too_many_destinations": _("A department has no more than 20 destinations."),
    "too_many_files": _("These are too many files at once. Please send the rest apart."),
    "too_many_rules": _("A department has no more than 50 rules."),
    "too_many_searches": _("There are too many saved views. Please delete one first."),
    "too_many_shares": _("This is shared too often. Please end one of the shares first."),
    "too_many_webhooks": _("There are too many webhooks. Please delete one first."),
    "tus_version_not_supported": _("This version of tus is not spoken here."),
    "unknown_operating_point": _("The model has no such operating point."),
    "unknown_parameter": _("The address names a filter that does not exist."),
    "upload_busy": _("This upload is being written by another request. Please try again."),
    "user_not_found": _("There is no user with this name or e-mail address, or more than one."),
    "webhook_inactive": _("This webhook is inactive. Please add it anew."),
    "webhook_url_refused": _("Webhooks cannot be sent to this address."),
    "wrong_offset": _("This part of the file does not follow what has arrived."),
    "csrf_failed": _("This page is out of date. Nothing was changed. Please reload it and try again."),
    "forbidden": _("You may not do this."),
    "host_not_allowed": _("This service does not answer under this name. Please tell its administrator."),
    "internal_error": _("Something went wrong on the server; it was logged."),
    "invalid_request": _("Something in the request is not valid."),
    "locked_out": _("There were too many wrong passwords or codes."),
    "method_not_allowed": _("This cannot be done here."),
    "not_authenticated": _("Please sign in first."),
    "not_found": _("This does not exist, or you may not see it."),
    "not_read_in_time": _("The image was not read in time. Please look again later."),
    "permission_denied": _("You may not do this."),
    "rate_limited": _("That was too often. Please wait a minute."),
    "storage_unavailable": _("The storage does not answer. Please try again in a few minutes."),
    "unsupported_request_format": _("The request has a format that is not read here."),
}
#: Codes of failed images and ZIPs that are not among the codes above: :data:`webapp.http.codes.FAILURES`.
FAILURES: dict[str, "StrOrPromise"] = {
    "dicom_not_a_radiograph": _("The DICOM file holds no radiograph, such as a CT or an ultrasound."),
    "dicom_without_pixels": _("The DICOM file holds no image, such as a report."),
    "encoding_not_supported": _("The image is encoded in a way that is not read here. Please export a PNG."),
    "file_damaged": _("The stored file is not what was uploaded. Please upload it again."),
    "file_missing": _("The uploaded file is gone. Please upload it again."),
    "image_too_large": _("The image has too many pixels."),
    "image_too_small": _("The image has too few pixels to be read."),
    "image_truncated": _("The file is cut off. Please upload it again."),
    "input_missing": _("What was prepared for the model is gone. Please try again."),
    "model_error": _("The model could not read this image. Please try again."),
    "out_of_memory": _("The image needs more memory than there is. Please export it smaller."),
    "pdf_encrypted": _("The PDF needs a password. Please save one without."),
    "pdf_without_picture": _("The PDF has no scanned picture on its first page."),
    "several_pictures": _("The file holds several pictures. Please send each as its own file."),
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
        "The file names another body part or view than a frontal chest, so no label is given. Please check what was "
        "sent."
    ),
    "for_processing": _(
        "The file is raw data of the detector (for processing). The model has learned from pictures for people."
    ),
    "birth_date_differs": _(
        "The file gives another date of birth than is known of this patient. Please check whose image this is."
    ),
    "instance_sent_before": _("An image with the same DICOM identifier was sent before."),
    "borders_removed": _(
        "The picture has a border, which was cut off before it was read. Please check that nothing of the X-ray is "
        "missing."
    ),
    "evidence_outside_lungs": _(
        "What raised the model's score most lies outside the lungs. That is a reason to distrust the answer."
    ),
    "map_outside_chest": _(
        "What raised the model's score most lies outside the chest. That is a reason to distrust the answer."
    ),
    "metadata_ignored": _("The file's details are damaged and were not read."),
    "end_missing": _("The file lacks its end marker. All of its pixels are there, and were read."),
    "manifest_column_unknown": _("The manifest has columns that were not read."),
    "manifest_file_repeated": _("The manifest names a file more than once."),
    "manifest_row_ambiguous": _("A row of the manifest suits several files."),
    "manifest_sex_differs": _("The manifest gives a patient another sex than is known here."),
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
