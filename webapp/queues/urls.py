"""The URLs of the queue page, its actions and its API."""

from django.urls import path
from django.views.generic import RedirectView

from webapp.queues import api, flower, views

urlpatterns = [
    path("queue/", views.queue, name="queue"),
    path("queues/", RedirectView.as_view(pattern_name="queue")),
    path("queue/figures/", views.figures, name="queue-figures"),
    path("queue/priorities/<str:priority>/<str:change>/", views.change_queue, name="queue-change"),
    path("queue/reconcile/", views.reconcile, name="queue-reconcile"),
    path("queue/doctor/", views.doctor, name="doctor"),
    path("flower/", flower.flower, name="flower"),
    path("flower/<path:path>", flower.flower, name="flower-page"),
    path("queue/retry/", views.retry, name="queue-retry"),
    path("departments/<slug:slug>/queue/<str:change>/", views.change_department, name="department-queue-change"),
    path("images/<uuid:pk>/timeline/", views.image_timeline, name="image-timeline"),
    path("api/v1/queues/", api.Queues.as_view(), name="api-queues"),
]
