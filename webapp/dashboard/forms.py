"""Forms of the pages."""

from django import forms


class InvitationForm(forms.Form):
    email = forms.EmailField(required=False, label="E-mail (optional)")
