"""Long-polling: the REST Framework view answers, and only the wait between two answers is asynchronous.

The first answer also decides whether the client may see the job at all, so waiting gives nothing away.
"""

import asyncio
import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.response import Response

from webapp.accounts import identity as identities
from webapp.http import problems
from webapp.studies.choices import FINAL
from webapp.studies.models import Image
from webapp.studies.waiting import study_states, wait_for_change

Answer = Callable[..., Response]


class Pending(Response):
    """What stands for an answer until its image has come to an end."""

    def __init__(self, image: Image, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.image = image


def long_poll(kind: str) -> Callable[[Any], Any]:
    """Make a view class's ``as_view()`` asynchronous, with waiting for an ``image``, ``study`` or ``prediction``."""

    def decorate(cls: Any) -> Any:
        build = cls.as_view

        @wraps(build)
        def as_view(**initkwargs: Any) -> Any:
            answer = build(**initkwargs)

            @wraps(answer)
            async def view(request: HttpRequest, **kwargs: Any) -> HttpResponse:
                return await _WAITERS[kind](answer, request, **kwargs)

            return markcoroutinefunction(view)

        cls.as_view = as_view
        return cls

    return decorate


def wait_seconds(request: HttpRequest) -> float:
    """The ``wait`` parameter, at least 0 and at most the limit; what is no number counts as 0."""
    try:
        seconds = float(request.GET.get("wait", 0))
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), float(settings.MAX_WAIT_SECONDS)) if math.isfinite(seconds) else 0.0


async def _poll_image(answer: Answer, request: HttpRequest, **kwargs: Any) -> HttpResponse:
    seconds = wait_seconds(request) if request.method == "GET" else 0.0
    response: Any = await sync_to_async(answer)(request, **kwargs, brief=bool(seconds))
    if not isinstance(response, Pending):
        return response
    await _until_final(response.image, seconds)
    return await sync_to_async(answer)(request, **kwargs)


async def _poll_study(answer: Answer, request: HttpRequest, **kwargs: Any) -> HttpResponse:
    seconds = wait_seconds(request) if request.method == "GET" else 0.0
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pk = kwargs["pk"]
    while True:
        # A study's state is asked for before its answer is made: a change between the two ends the wait at once,
        # where the other order would sleep through it.
        seen = (await sync_to_async(study_states)([pk]))[pk] if seconds else ""
        response = await sync_to_async(answer)(request, **kwargs)
        left = deadline - loop.time()
        if left <= 0 or response.status_code != 200 or response.data["status"] in ("finished", "cancelled"):
            return response
        await wait_for_change("study", pk, seen, left)


async def _poll_prediction(answer: Answer, request: HttpRequest, **kwargs: Any) -> HttpResponse:
    response: Any = await sync_to_async(answer)(request, **kwargs)
    if not isinstance(response, Pending):
        return response
    await _until_final(response.image, settings.PREDICT_TIMEOUT_SECONDS)
    return await sync_to_async(_prediction)(response.image, response)


async def _until_final(image: Image, seconds: float) -> None:
    """Wait for an image to come to its end, at most so many seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    status = str(image.status)
    while status not in FINAL and (left := deadline - loop.time()) > 0:
        status = await wait_for_change("image", image.pk, status, left)


def _prediction(image: Image, accepted: Response) -> HttpResponse:
    image = Image.objects.select_related("prediction").get(pk=image.pk)
    about = {"id": str(image.pk), "url": accepted.data["url"]}
    if image.guest:
        about["token"] = identities.make_token(image.guest)
    if hasattr(image, "prediction"):
        said = image.prediction
        return JsonResponse(
            {
                "prediction": [[said.normal, said.pneumonia]],
                "label": said.label,
                "probability": said.pneumonia,
                "threshold": said.threshold,
                "model": said.model,
                "warnings": said.warnings,
                **about,
            }
        )
    if image.error_code:
        document = problems.body(422, image.error_code, image.error_detail, **about)
    else:
        detail = "The image is still waiting to be read. Ask for it at its URL, or try again later."
        document = problems.body(503, "not_read_in_time", detail, **about)
    return JsonResponse(document, status=document["status"], content_type=problems.CONTENT_TYPE)


_WAITERS = {"image": _poll_image, "study": _poll_study, "prediction": _poll_prediction}
