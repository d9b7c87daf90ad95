"""The API's URLs, as the contract names them."""

from django.urls import path

from webapp.studies.api import actions, patients, pictures, predict, results, views

urlpatterns = [
    path("api/v1/images/", views.Images.as_view(), name="api-images"),
    path("api/v1/images/<uuid:pk>/", views.ImageDetail.as_view(), name="api-image"),
    path("api/v1/images/<uuid:pk>/cancel/", actions.ImageCancel.as_view(), name="api-image-cancel"),
    path("api/v1/images/<uuid:pk>/retry/", actions.ImageRetry.as_view(), name="api-image-retry"),
    path("api/v1/images/<uuid:pk>/preview/", pictures.ImageFile.as_view(kind="preview"), name="api-image-preview"),
    path("api/v1/images/<uuid:pk>/original/", pictures.ImageOriginal.as_view(), name="api-image-original"),
    path("api/v1/images/<uuid:pk>/input/", pictures.ImageInput.as_view(), name="api-image-input"),
    path("api/v1/images/<uuid:pk>/heatmap.png", pictures.ImageHeatmap.as_view(), name="api-image-heatmap"),
    path("api/v1/studies/", views.Studies.as_view(), name="api-studies"),
    path("api/v1/studies/<uuid:pk>/", views.StudyDetail.as_view(), name="api-study"),
    path("api/v1/studies/<uuid:pk>/images/", views.StudyImages.as_view(), name="api-study-images"),
    path("api/v1/studies/<uuid:pk>/results.csv", results.StudyTable.as_view(), name="api-study-results"),
    path("api/v1/studies/<uuid:pk>/results.jsonl", results.StudyLines.as_view(), name="api-study-results-lines"),
    path("api/v1/studies/<uuid:pk>/cancel/", actions.StudyCancel.as_view(), name="api-study-cancel"),
    path("api/v1/studies/<uuid:pk>/close/", actions.StudyClose.as_view(), name="api-study-close"),
    path("api/v1/studies/<uuid:pk>/retry/", actions.StudyRetry.as_view(), name="api-study-retry"),
    path("api/v1/patients/", patients.Patients.as_view(), name="api-patients"),
    path("api/v1/patients/<uuid:pk>/", patients.PatientDetail.as_view(), name="api-patient"),
    path("api/v1/patients/<uuid:pk>/merge/", patients.PatientMerge.as_view(), name="api-patient-merge"),
    path("predict", predict.Predict.as_view(), name="predict"),
    path("predict/<str:signed>", predict.PredictAnswer.as_view(), name="predict-answer"),
]
