"""Retrieving over HTTP (WADO-RS)."""

import mimetypes
from collections.abc import Iterable, Iterator

from django.core.files import File
from django.core.files.storage import default_storage
from django.http import Http404, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from webapp.audit.models import Action
from webapp.dicom.web import accepting, frames, headers, metadata, multipart
from webapp.dicom.web.base import DicomWebView
from webapp.refusals import Refused
from webapp.studies.files import responses
from webapp.studies.models import Image


class Retrieve(DicomWebView):
    """WADO-RS of instances, as they are stored."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        images = self.found()
        for image in images:
            if not accepting.related(request, multipart.DICOM, image.instance.transfer_syntax):
                raise Refused(
                    "representation_not_available",
                    'Instances are available as multipart/related; type="application/dicom", in the transfer syntax '
                    "in which they are stored. Please ask for transfer-syntax=*.",
                )
        self.recorded(images, Action.DOWNLOAD)
        opened(images[0]).close()
        return multipart.related((self._part(image) for image in images), multipart.DICOM)

    def _part(self, image: Image) -> multipart.Sent:
        kind = f"{multipart.DICOM}; transfer-syntax={image.instance.transfer_syntax}"
        return multipart.Sent(kind, _blocks(image), self.url_of(image))


class Instance(Retrieve):
    """Retrieve an instance, also without anything around it."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        if not accepting.plainly(request, multipart.DICOM):
            return super().get(request, **uids)
        image = self.found()[0]
        self.recorded([image], Action.DOWNLOAD)
        opened(image).close()
        return StreamingHttpResponse(_blocks(image), content_type=multipart.DICOM)


class Metadata(DicomWebView):
    """WADO-RS of what instances say beside their pixels."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        accepting.require_json(request)
        images = self.found()
        self.recorded(images, Action.VIEW)
        return StreamingHttpResponse(self._array(images), content_type=accepting.JSON)

    def _array(self, images: list[Image]) -> Iterator[str]:
        between = "["
        for image in images:
            yield between + metadata.of(image, f"{self.url_of(image)}/bulkdata/")
            between = ","
        yield "]"


class Pixels(DicomWebView):
    """What a single instance has."""

    def opened(self) -> File:
        """Raises Http404 where there is no such instance, and Refused where its file is gone: ``file_gone``."""
        image = self.found()[0]
        self.recorded([image], Action.DOWNLOAD)
        return opened(image)

    def frames(self, request: Request, file: File, header: headers.Header, wanted: list[int]) -> HttpResponseBase:
        kind, is_compressed = frames.media_type(header.syntax), frames.is_compressed(header.syntax)
        as_it_is = accepting.related(request, kind, header.syntax)
        # Viewers ask for the bytes of whatever syntax in this way.
        as_octets = accepting.related(request, frames.OCTETS, header.syntax, named=is_compressed)
        if not (as_it_is or as_octets):
            raise Refused(
                "representation_not_available",
                f"The frames of this instance are stored as {kind}, and are not available in another form: please "
                f'accept multipart/related; type="{kind}"; transfer-syntax=*.',
            )
        typed = f"{kind if as_it_is else frames.OCTETS}; transfer-syntax={header.syntax}"
        parts = (multipart.Sent(typed, content) for content in frames.read(file, header, wanted))
        return multipart.related(_with(file, parts), kind if as_it_is else frames.OCTETS)


class Frames(Pixels):
    """WADO-RS of frames, as they are stored."""

    def get(self, request: Request, numbers: str, **uids: str) -> HttpResponseBase:
        file = self.opened()
        header = headers.of_image(file)
        return self.frames(request, file, header, frames.numbers(numbers, header))


class BulkData(Pixels):
    """WADO-RS of long values, at the addresses that metadata have in their place."""

    def get(self, request: Request, tag: str, **uids: str) -> HttpResponseBase:
        file = self.opened()
        header = headers.of_image(file)
        if tag.upper() == "7FE00010":
            most = min(max(1, header.number("NumberOfFrames", 1)), frames.MOST_FRAMES)
            return self.frames(request, file, header, list(range(1, most + 1)))
        file.close()
        value = header.binary(int(tag, 16))
        if value is None:
            raise Http404
        return multipart.related([multipart.Sent(frames.OCTETS, [value])], frames.OCTETS)


class Rendered(DicomWebView):
    """WADO-RS of an instance as a picture for browsers: the preview that was made when it was prepared."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        image = self.found()[0]
        if request.query_params:
            raise Refused("unknown_parameter", "The picture is shown as the instance's own window has it, as a whole.")
        name = str(image.preview.name or "")
        if not name:
            raise Refused("not_read_yet", "There is no picture of this instance yet, or none could be made.")
        kind = mimetypes.guess_type(name)[0] or ""
        if not any(one.match(kind) for one in request.accepted_types):
            raise Refused("representation_not_available", f"The picture of this instance is available as {kind}.")
        self.recorded([image], Action.VIEW)
        return responses.picture(request, name, image.sha256)


def opened(image: Image) -> File:
    """The file of an image; raises Refused where it is gone: ``file_gone``."""
    try:
        return default_storage.open(str(image.file.name))
    except FileNotFoundError:
        raise Refused("file_gone", "The file of this instance is no longer there.") from None


def _blocks(image: Image) -> Iterator[bytes]:
    with opened(image) as file:
        while block := file.read(responses.BLOCK):
            yield block


def _with(file: File, parts: Iterable[multipart.Sent]) -> Iterator[multipart.Sent]:
    """Parts of a file, which is closed behind them."""
    with file:
        yield from parts
