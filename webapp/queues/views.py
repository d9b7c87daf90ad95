"""The queue page and its actions for administrators and managers. Each action asks for confirmation first."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from webapp.accounts.identity import Identity, identify
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import access, permissions
from webapp.departments.models import Department
from webapp.ops import doctor as checks
from webapp.ops import services as ops
from webapp.ops.models import Reconciliation
from webapp.queues import charts, timeline
from webapp.queues.figures import DAY, owned_by
from webapp.queues.models import Sample
from webapp.queues.overview import overview, scope
from webapp.refusals import Refused
from webapp.studies.access import visible_image
from webapp.studies.choices import Priority
from webapp.studies.models import Pause
from webapp.studies.services import pauses, retrying

ASK = ("GET", "HEAD", "POST")
#: What can be done with a queue or department: the label of the button, and what it means.
CHANGES = {
    "pause": (
        _("Pause"),
        _(
            "None of its images is prepared or read until somebody resumes it, even after a restart. New images are "
            "still accepted and wait, nothing is lost, and workers finish their current images."
        ),
    ),
    "drain": (
        _("Drain"),
        _(
            "It accepts no new images, and waiting images are still read. Uploads are refused until somebody "
            "resumes it."
        ),
    ),
    "resume": (_("Resume"), _("It accepts new images again, and waiting images are read.")),
}
DONE = {
    "pause": _("%(name)s is paused."),
    "drain": _("%(name)s accepts no new images."),
    "resume": _("%(name)s is resumed."),
}
QUESTIONS = {"pause": _("Pause %(name)s?"), "drain": _("Drain %(name)s?"), "resume": _("Resume %(name)s?")}
KINDS = {"pause": Pause.Kind.PAUSED, "drain": Pause.Kind.DRAINING}


class ReasonForm(forms.Form):
    reason = forms.CharField(
        required=False,
        max_length=200,
        label=_("Reason"),
        help_text=_("shown to everyone who waits; do not name a patient"),
    )


@require_safe
@never_cache
@login_required
def queue(request: HttpRequest) -> HttpResponse:
    identity = identify(request)
    state = overview(identity)
    record(identity, Action.LIST, Sample)
    context = {"overview": state, "charts": charts.history() if state.everything else ()}
    return render(request, "queues/queue.html", context)


@require_safe
@never_cache
@login_required
def figures(request: HttpRequest) -> HttpResponse:
    """Render the part of the page that is refreshed."""
    return render(request, "queues/_figures.html", {"overview": overview(identify(request))})


@require_http_methods(ASK)
@never_cache
@login_required
def change_queue(request: HttpRequest, priority: str, change: str) -> HttpResponse:
    if priority not in Priority.values or change not in CHANGES:
        raise Http404
    if not permissions.may_pause(identify(request), None):
        raise Refused("not_allowed", "Only administrators can pause a queue. Managers can pause their departments.")
    return _change(
        request, gettext("the %(queue)s queue") % {"queue": Priority(priority).label.lower()}, change, priority=priority
    )


@require_http_methods(ASK)
@never_cache
@login_required
def change_department(request: HttpRequest, slug: str, change: str) -> HttpResponse:
    department = access.visible_department(identify(request), slug, permissions.may_pause)
    if change not in CHANGES:
        raise Http404
    return _change(request, department.name, change, department=department)


def _change(
    request: HttpRequest, name: str, change: str, *, priority: str = "", department: Department | None = None
) -> HttpResponse:
    identity = identify(request)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and (change == "resume" or form.is_valid()):
        if change == "resume":
            pauses.resume(identity, priority=priority, department=department)
        else:
            reason = form.cleaned_data["reason"]
            pauses.pause(identity, KINDS[change], priority=priority, department=department, reason=reason)
        messages.success(request, DONE[change] % {"name": name[0].upper() + name[1:]})
        return redirect("queue")
    label, meaning = CHANGES[change]
    context = {"title": QUESTIONS[change] % {"name": name}, "word": label, "meaning": meaning, "form": form}
    return render(request, "queues/ask.html", {**context, "form": None if change == "resume" else form})


@require_http_methods(ASK)
@never_cache
@login_required
def reconcile(request: HttpRequest) -> HttpResponse:
    """Check for lost images now, and not at the next turn of the reconciler."""
    identity = identify(request)
    if not permissions.is_administrator(identity.user):
        raise Refused("not_allowed", "Only administrators can start a check for lost images.")
    if request.method == "POST":
        found = {gettext(name.replace("_", " ")): number for name, number in ops.send_lost_again().items() if number}
        record(identity, Action.RETRY, Reconciliation, found=sum(found.values()))
        losses = ", ".join(f"{number} {name}" for name, number in found.items()) or gettext("nothing was lost")
        messages.success(request, gettext("Checked for lost images: %(losses)s.") % {"losses": losses})
        return redirect("queue")
    context = {
        "title": _("Check for lost images?"),
        "word": _("Look now"),
        "meaning": _(
            "Sends images again whose messages or workers were lost. This happens by itself every few seconds, and "
            "is harmless to repeat."
        ),
    }
    return render(request, "queues/ask.html", context)


@require_safe
@never_cache
@login_required
def doctor(request: HttpRequest) -> HttpResponse:
    """Show the checks of the installation."""
    if not permissions.is_administrator(identify(request).user):
        raise Refused("not_allowed", "Only administrators can check the service.")
    findings = checks.everything()
    return render(
        request, "queues/doctor.html", {"findings": findings, "bad": sum(not finding.ok for finding in findings)}
    )


@require_http_methods(ASK)
@never_cache
@login_required
def retry(request: HttpRequest) -> HttpResponse:
    """Retry the images that failed with a given code within a day."""
    identity = identify(request)
    owned, since = owned_by(scope(identity)), timezone.now() - DAY
    code = (request.POST if request.method == "POST" else request.GET).get("code", "")
    number = retrying.with_code(code, since, owned).count()
    if request.method == "POST":
        sent = retrying.retry_code(identity, code, since, owned)
        counts = {"sent": sent, "all": number, "code": code}
        messages.success(
            request, gettext("%(sent)s of %(all)s images that failed with %(code)s are read again.") % counts
        )
        return redirect("queue")
    context = {
        "title": gettext("Read images that failed with %(code)s again?") % {"code": code},
        "word": _("Read again"),
        "meaning": gettext(
            "%(number)s images failed with this code within a day and may still have their files. At most %(most)s "
            "are sent at once, the latest first."
        )
        % {"number": number, "most": retrying.AT_ONCE},
        "code": code,
    }
    return render(request, "queues/ask.html", context)


@require_safe
@never_cache
@login_required
def image_timeline(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show everything that happened to an image."""
    identity: Identity = identify(request)
    image = visible_image(identity, pk, permissions.may_follow)
    record(identity, Action.VIEW, image, timeline=True)
    context = {"image": image, "events": timeline.of(image), "now": timezone.now()}
    return render(request, "queues/timeline.html", context)
