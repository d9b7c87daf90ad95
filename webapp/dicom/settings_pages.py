"""The pages on which managers set who may send images to their department, and the rules for these images."""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.identity import Identity, identify
from webapp.departments import permissions
from webapp.departments.access import visible_department
from webapp.departments.models import Department
from webapp.dicom import access
from webapp.dicom.models import Peer, Rule
from webapp.dicom.pages import ask_and_delete
from webapp.dicom.services import peers, rules
from webapp.dicom.web import headers
from webapp.http.sentences import in_words
from webapp.refusals import Refused


class PeerForm(forms.ModelForm):
    class Meta:
        model = Peer
        fields = peers.FIELDS
        labels = {
            "ae_title": _("AE title"),
            "network": _("Address or network"),
            "certificate_name": _("Name in its certificate"),
            "host": _("Host name or IP address at which it can be reached"),
            "port": _("Its port"),
            "tls": _("Encrypted (TLS)"),
            "stat": _("Read its images before all others"),
            "active": _("May send"),
        }
        help_texts = {
            "ae_title": _("The sender's own AE title. Upper and lower case matter."),
            "network": _("The address or network from which it sends, such as 10.1.2.0/24; blank for any."),
            "certificate_name": _("It then has to connect by TLS with a certificate of this name; blank for none."),
            "host": _("Blank if it accepts no connections. Used to test it and to report storage commitment."),
            "port": "",
            "tls": "",
            "stat": "",
            "active": "",
        }


class RuleForm(forms.ModelForm):
    class Meta:
        model = Rule
        fields = ("position", "conditions", "stat", "unread", "name_prefix", "results_to")
        labels = {
            "position": _("Number"),
            "conditions": _("Conditions"),
            "stat": _("Read before all others"),
            "unread": _("Not read by the model"),
            "name_prefix": _("Put before the study's name"),
            "results_to": _("Results go only to"),
        }
        help_texts = {
            "position": _("The rule with the lowest number is tried first. The first rule that matches applies."),
            "conditions": _(
                "One in each line, such as: InstitutionName starts with City – Modality is DX – PatientAge over 60 – "
                "StudyDescription contains portable – CallingAE is SCANNER. All must be true."
            ),
            "stat": "",
            "unread": "",
            "name_prefix": "",
            "results_to": "",
        }
        widgets = {"conditions": forms.Textarea({"rows": 4})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        destinations = self.instance.department.destinations.all()
        results_to = cast(forms.ModelChoiceField, self.fields["results_to"])
        results_to.queryset = destinations
        results_to.empty_label = _("each destination")

    def clean_conditions(self) -> str:
        rules.check_conditions(self.cleaned_data["conditions"])
        return str(self.cleaned_data["conditions"])


class TrialForm(forms.Form):
    """An image to try rules on: a file, which is not stored, and lines of attributes, which override the file's."""

    file = forms.FileField(label=_("A DICOM file"), required=False)
    elements = forms.CharField(
        label=_("Conditions on the image's file"),
        help_text=_("One attribute in each line, such as: InstitutionName = City Hospital"),
        max_length=5000,
        required=False,
        widget=forms.Textarea({"rows": 5}),
    )
    calling_ae = forms.CharField(label=_("AE title of the sender"), max_length=16, required=False)

    def clean_file(self) -> dict[str, str]:
        """The file's attributes by keyword."""
        if not (file := self.cleaned_data["file"]):
            return {}
        try:
            return headers.read(file).texts(rules.IN_FILES)
        except headers.Unreadable:
            raise ValidationError(_("This is not a readable DICOM file.")) from None

    def image(self) -> dict[str, str]:
        return {**self.cleaned_data["file"], **rules.from_lines(self.cleaned_data["elements"])}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def senders(request: HttpRequest, slug: str) -> HttpResponse:
    """Show who may send to a department, and a form to add a sender."""
    department = _managed(request, slug)
    form = PeerForm(request.POST or None, instance=Peer(department=department))
    if request.method == "POST" and _save(request, form, peers.save):
        return redirect("senders", slug)
    context = {
        "department": department,
        "peers": department.dicom_peers.all(),
        "came": peers.recent_images(department),
        "form": form,
        "ae_title": settings.DICOM_AE_TITLE,
    }
    return render(request, "dicom/senders.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def sender(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a sender."""
    peer = access.peer(identify(request), pk)
    form = PeerForm(request.POST or None, instance=peer)
    return _change(request, form, peers.save, title=peer.ae_title, delete="sender-delete", back="senders")


@require_POST
@login_required
def test_sender(request: HttpRequest, pk: int) -> HttpResponse:
    """Test the connection to a sender."""
    identity = identify(request)
    peer = access.peer(identity, pk)
    if not peer.host:
        raise Http404
    peers.test(identity, peer)
    return redirect("senders", peer.department.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def delete_sender(request: HttpRequest, pk: int) -> HttpResponse:
    what = gettext("Its images are refused from now on. Images that it has sent stay.")
    found = access.peer(identify(request), pk)
    return ask_and_delete(request, found, peers.delete, name=found.ae_title, what=what, page="sender", back="senders")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def department_rules(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a department's rules, a form to add one, and a form to try them all."""
    department = _managed(request, slug)
    is_trial = "try" in request.POST
    form = RuleForm(None if is_trial else request.POST or None, instance=Rule(department=department))
    if request.method == "POST" and _save(request, form, rules.save):
        return redirect("rules", slug)
    trial = TrialForm(request.POST if is_trial else None, request.FILES if is_trial else None)
    hit = rules.decide(department, trial.image(), trial.cleaned_data["calling_ae"]) if trial.is_valid() else None
    rows = department.dicom_rules.select_related("results_to")
    context = {"department": department, "rules": rows, "form": form, "trial": trial, "tried": is_trial, "hit": hit}
    return render(request, "dicom/rules.html", context, status=400 if form.errors or trial.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def rule(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change a rule."""
    instance = access.rule(identify(request), pk)
    form = RuleForm(request.POST or None, instance=instance)
    return _change(request, form, rules.save, title=_("Rule"), delete="rule-delete", back="rules")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def delete_rule(request: HttpRequest, pk: UUID) -> HttpResponse:
    what = gettext("It no longer applies to new images. Existing images stay as they are.")
    found = access.rule(identify(request), pk)
    name = f"{gettext('Rule')} {found.position}"
    return ask_and_delete(request, found, rules.delete, name=name, what=what, page="rule", back="rules")


def _change(
    request: HttpRequest, form: forms.ModelForm, save: Callable[[Identity, Any], Any], *, back: str, **shown: Any
) -> HttpResponse:
    """Save a changed sender or rule and go back to the department's list, or show the form."""
    department, pk = form.instance.department, form.instance.pk
    if request.method == "POST" and _save(request, form, save):
        return redirect(back, department.slug)
    context = {"department": department, "form": form, "pk": pk, "back": back, **shown}
    return render(request, "dicom/change.html", context, status=400 if form.errors else 200)


def _save(request: HttpRequest, form: forms.ModelForm, save: Callable[[Identity, Any], Any]) -> bool:
    """Save a form's object. Return whether it could be saved."""
    if not form.is_valid():
        return False
    try:
        save(identify(request), form.save(commit=False))
    except Refused as refused:
        form.add_error(None, in_words(refused.code, refused.detail))
        return False
    return True


def _managed(request: HttpRequest, slug: str) -> Department:
    return visible_department(identify(request), slug, permissions.may_manage)
