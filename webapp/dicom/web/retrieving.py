"""Retrieving over HTTP (WADO-RS)."""

import io
import mimetypes
from collections.abc import Iterable, Iterator
from itertools import chain

from django.core.files import File
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from webapp.audit.models import Action
from webapp.dicom.web import accepting, frames, headers, metadata, multipart
from webapp.dicom.web.base import DicomWebView, Found, files
from webapp.refusals import Refused
from webapp.studies.files import responses

JPEG = "image/jpeg"


class Retrieve(DicomWebView):
    """WADO-RS of instances, as they are stored."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        found = self.found()
        for one in found:
            # What is made of results has the syntax that everybody takes.
            if not (one.is_made or accepting.related(request, accepting.DICOM, one.syntax)):
                raise Refused(
                    "representation_not_available",
                    'Instances are available as multipart/related; type="application/dicom", in the transfer syntax '
                    "in which they are stored. Please ask for transfer-syntax=*.",
                )
        self.recorded(found, Action.DOWNLOAD)
        parts = self._parts(found)
        first = next(parts, None)  # so that an error can still be answered
        if first is None:
            raise found[0].missing()
        return multipart.related(chain([first], parts), accepting.DICOM)

    def _parts(self, found: list[Found]) -> Iterator[multipart.Sent]:
        for one, file in files(found):
            if file:
                kind = f"{accepting.DICOM}; transfer-syntax={one.syntax}"
                yield multipart.Sent(kind, _blocks(file), self.url(*one.uids))
            elif not one.is_made:  # what cannot be made is left out
                raise one.missing()


class Instance(Retrieve):
    """Retrieve an instance, also without anything around it."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        if not accepting.plainly(request, accepting.DICOM):
            return super().get(request, **uids)
        _, file = self.opened(Action.DOWNLOAD)
        return StreamingHttpResponse(_blocks(file), content_type=accepting.DICOM)


class Metadata(DicomWebView):
    """WADO-RS of what instances say beside their pixels."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        accepting.require_json(request)
        found = self.found()
        self.recorded(found, Action.VIEW)
        return StreamingHttpResponse(self._array(found), content_type=accepting.JSON)

    def _array(self, found: list[Found]) -> Iterator[str]:
        between = "["
        for one, file in files(found):
            yield between + metadata.of(one.row, file, f"{self.url(*one.uids)}/bulkdata/")
            between = ","
        yield "]"


class Pixels(DicomWebView):
    """What a single instance has."""

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
        _, file = self.opened(Action.DOWNLOAD)
        header = headers.of_image(file)
        return self.frames(request, file, header, frames.numbers(numbers, header))


class BulkData(Pixels):
    """WADO-RS of long values, at the addresses that metadata have in their place."""

    def get(self, request: Request, tag: str, **uids: str) -> HttpResponseBase:
        _, file = self.opened(Action.DOWNLOAD)
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
    """WADO-RS of an instance as a picture for browsers: of an image the preview that was made when it was prepared."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        found = self.found()[0]
        if request.query_params:
            raise Refused("unknown_parameter", "The picture is shown as the instance's own window has it, as a whole.")
        if found.is_made:
            return self._made(request)
        image = found.image
        name = str(image.preview.name or "")
        if not name:
            raise Refused("not_read_yet", "There is no picture of this instance yet, or none could be made.")
        kind = mimetypes.guess_type(name)[0] or ""
        _require(request, kind)
        self.recorded([found], Action.VIEW)
        return responses.picture(request, name, image.sha256)

    def _made(self, request: Request) -> HttpResponseBase:
        """The picture that was made of a result."""
        from PIL import Image as Picture

        _require(request, JPEG)
        _, file = self.opened(Action.VIEW)
        with file:
            header = headers.of_image(file)
            [content] = (b"".join(parts) for parts in frames.read(file, header, [1]))
        shown = Picture.frombytes("RGB", (header.number("Columns"), header.number("Rows")), content)
        answer = io.BytesIO()
        shown.save(answer, "JPEG", quality=90)
        return HttpResponse(answer.getvalue(), content_type=JPEG)


def _require(request: Request, kind: str) -> None:
    if not any(one.match(kind) for one in request.accepted_types):
        raise Refused("representation_not_available", f"The picture of this instance is available as {kind}.")


def _blocks(file: File) -> Iterator[bytes]:
    with file:
        while block := file.read(responses.BLOCK):
            yield block


def _with(file: File, parts: Iterable[multipart.Sent]) -> Iterator[multipart.Sent]:
    """Parts of a file, which is closed behind them."""
    with file:
        yield from parts
