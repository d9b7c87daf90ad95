"""Forms of the account pages. The settings name those that replace django-allauth's own."""

from typing import Any, cast

from allauth.account.forms import AddEmailForm as AllauthAddEmailForm
from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm as AllauthAuthenticateForm
from allauth.mfa.base.forms import BaseAuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as AllauthReauthenticateForm
from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.forms import ManageUserSessionsForm
from allauth.usersessions.models import UserSession
from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from webapp.accounts import lockout


class LoginForm(AllauthLoginForm):
    """Sign-in form with this service's labels."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("User name or e-mail")
        self.fields["login"].widget.attrs["autocomplete"] = "username"
        self.fields["remember"].label = _("Stay signed in on this computer")


class AddressForm(forms.Form):
    """Labels the e-mail field as the other pages do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("E-mail address")


class SignupForm(AddressForm, AllauthSignupForm):
    pass


class AddEmailForm(AddressForm, AllauthAddEmailForm):
    pass


class ResetPasswordForm(AddressForm, AllauthResetPasswordForm):
    """Rejects the form if no mail server is configured, because the next page says that a mail was sent."""

    def clean(self) -> Any:
        if not settings.EMAIL_URL:
            raise forms.ValidationError(_("This service sends no mail. Please ask its administrator for a link."))
        return super().clean()


class CodeForm(BaseAuthenticateForm):
    """Form for a second-factor code, with the same lockout as passwords."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].help_text = _("The code from your authenticator app, or one of your recovery codes.")

    def clean_code(self) -> Any:
        lockout.require_open(context.request, self.user)
        return super().clean_code()


class AuthenticateForm(CodeForm, AllauthAuthenticateForm):
    """The code of a user who is signing in."""


class ReauthenticateForm(CodeForm, AllauthReauthenticateForm):
    """The code of a signed-in user who confirms a change."""


class SessionsForm(ManageUserSessionsForm):
    """Ends the chosen session; if none is chosen, all sessions but the current one, as django-allauth does."""

    session = forms.ModelChoiceField(
        UserSession.objects.none(),
        required=False,
        error_messages={"invalid_choice": _("This session has ended already.")},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = UserSession.objects.exclude(session_key=self.request.session.session_key)
        self.fields["session"].queryset = others.filter(user=self.request.user)

    def save(self, request: HttpRequest) -> None:
        if session := self.cleaned_data["session"]:
            get_adapter().end_sessions([session])
        else:
            super().save(request)


class TokenForm(forms.Form):
    """Form for a new API token."""

    name = forms.CharField(max_length=100, label=_("Name"), help_text=_("What it is for, such as “scanner in room 3”."))
    days = forms.TypedChoiceField(coerce=int, label=_("Valid for"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        days = sorted({days for days in (7, 30, 90, settings.API_TOKEN_DAYS) if days <= settings.API_TOKEN_DAYS})
        words = [(number, ngettext("%(n)s day", "%(n)s days", number) % {"n": number}) for number in days]
        cast("forms.TypedChoiceField", self.fields["days"]).choices = words
        self.fields["days"].initial = min(90, settings.API_TOKEN_DAYS)
