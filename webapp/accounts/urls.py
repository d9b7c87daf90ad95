from django.urls import path

from webapp.accounts.views import TokenView

urlpatterns = [path("token/", TokenView.as_view(), name="token")]
