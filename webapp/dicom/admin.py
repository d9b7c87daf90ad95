"""Admin pages where administrators register the scanners and PACS that may send images."""

from django.contrib import admin

from webapp.dicom.models import Peer


@admin.register(Peer)
class PeerAdmin(admin.ModelAdmin):
    list_display = ("ae_title", "network", "department", "stat", "active")
    list_filter = ("active", "department")
    list_select_related = ("department",)
    search_fields = ("ae_title",)
