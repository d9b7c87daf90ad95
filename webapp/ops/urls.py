from django.urls import path

from webapp.ops import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics_view, name="metrics"),
    path("internal/staff", views.Administrator.as_view(), name="internal-staff"),
]
