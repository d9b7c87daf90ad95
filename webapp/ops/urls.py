from django.urls import path

from webapp.ops import views

urlpatterns = [
    path("healthz", views.Health.as_view(), name="healthz"),
    path("readyz", views.Readiness.as_view(), name="readyz"),
    path("metrics", views.Metrics.as_view(), name="metrics"),
    path("internal/staff", views.Administrator.as_view(), name="internal-staff"),
]
