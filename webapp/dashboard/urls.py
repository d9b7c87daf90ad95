from django.http import HttpResponse
from django.urls import path

urlpatterns = [
    path("", lambda r: HttpResponse("home"), name="home"),
    path("images/<uuid:pk>/", lambda r, pk: HttpResponse(pk), name="image"),
    path("studies/<uuid:pk>/", lambda r, pk: HttpResponse(pk), name="study"),
]
