"""Texts for the upload page's scripts (``upload-words.js``). Placeholders for values are in braces."""

from django.utils.translation import gettext_lazy as _

from webapp.studies.choices import DOUBTS, SCREENING_FLOOR, PneumoniaKind, ResultGroup, Verdict

#: The words of a result, and a bound of bundles that have none.
RESULT_WORDS = {
    "groups": dict(ResultGroup.choices),
    "doubts": {str(code): words for code, words in DOUBTS.items()},
    "verdicts": dict(Verdict.choices),
    "kinds": dict(PneumoniaKind.choices),
    "model": _("model"),
    "floor": SCREENING_FLOOR,
}
#: Everything else that the scripts say.
WORDS = {
    # how much and how long
    "seconds": _("{n} seconds"),
    "minutes": _("{n} min"),
    "hours": _("{n} h"),
    "just_now": _("just now"),
    "files": _("{n} files"),
    "folder_of": _("{name} ({n} files)"),
    "and_more": _("{name} and {n} more"),
    "counted": _("{taken} of {n} files, {mb} of {all} MB"),
    "percent": _("{n} %"),
    "left": _("about {time} left"),
    # what happens to a file
    "upload_of": _("Upload of {name}"),
    "waits": _("Waiting to be uploaded"),
    "uploading": _("Uploading, {n} %"),
    "uploaded": _("Uploaded"),
    "is_queued": _("Waiting to be prepared"),
    "is_ready": _("Waiting for the model"),
    "is_running": _("The model is reading it"),
    "is_cancelled": _("Cancelled"),
    "already_read": _("Already read, {ago}:"),
    "already_uploaded": _("Already uploaded, {ago}"),
    "already_chosen": _("Already chosen: it is in this list"),
    "upload_again": _("Upload again"),
    "try_again": _("Try again"),
    "reload": _("Reload the page"),
    "stripping": _("Removing patient details: {n} of {all}"),
    "stripped_folder": _("without patient details"),
    # what went wrong
    "stripped_manifest": _(
        "Nothing was sent: a manifest names files and patients. Please choose no manifest, or keep patient details."
    ),
    "not_stripped": _(
        "Not sent: patient details cannot be removed from this file here. This only works for DICOM files, also in a "
        "folder, and not for every kind."
    ),
    "trying_again": _("The connection is lost. Trying again …"),
    "not_reached": _("The server cannot be reached. Nothing is lost: try again when the connection is back."),
    "answered": _("The server answered {status}."),
    "gone": _("It is no longer yours to see, or was deleted."),
    "changed": _("This file was changed, moved or deleted after you chose it. Please choose it again."),
    "unreadable": _("This cannot be read. Please look at it and choose it again."),
    "too_large": _("The file is larger than {mb} MB. Please export a smaller one."),
    "too_many": _("These are {n} files, but a study may have {most}. Please send it in parts."),
    "wrong_age": _(
        "The age is a number of years, such as 2 or 3.5. Nothing was uploaded: please correct it, and choose the files "
        "again."
    ),
    "not_read": _("The browser could not read the dropped files. Please choose them instead."),
    "empty_folder": _("There are no files in the folder “{name}”."),
    "was_link": _("That was a link, not a file. Save the picture on this computer first, then drop the file here."),
    "was_text": _("That was text, not a file. Please drop the X-ray's file here, or choose it."),
    "was_nothing": _("There was no file in it. Please choose the X-ray's file."),
    # many files
    "many_files": _("Many files"),
    "paused": _("Paused. {taken} of {n} files have arrived and are not sent again."),
    "waits_for_line": _("The connection is lost. The upload continues when it is back; nothing is lost."),
    "some_failed": _("{n} files did not arrive: {reason}"),
    "send_again": _("Send these again"),
    "cancelling": _("Nothing more is sent. Telling the service to stop reading …"),
    "cancelled": _("Cancelled. Nothing more is sent or read; existing results stay."),
    "all_sent": _("All files were sent. Please see the notes below."),
    "nothing_taken": _("None of the files was accepted, so there is no study. The reasons are below."),
    "see_study": _("See the study"),
    "some_refused": _("Could not be taken: {n}"),
    "some_known": _("Sent before, with exactly the same content: {n}"),
    "copied": _("Copied"),
    "was_interrupted": _(
        "The upload “{name}” was interrupted {ago}: {taken} of {n} files have arrived. To continue, choose the same "
        "folder or files again; files that have arrived are not sent twice."
    ),
}
