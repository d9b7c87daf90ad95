"""The views for retrieving instances (WADO-RS)."""

import io
import mimetypes
from collections.abc import Iterable, Iterator
from itertools import chain

from django.core.files import File
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from webapp.audit.models import Action
from webapp.dicom.web import accepting, frames, headers, metadata, multipart, rendering
from webapp.dicom.web.base import DicomWebView, Retrievable, files, not_made_yet
from webapp.refusals import Refused
from webapp.studies.files import responses, stored
from webapp.studies.models import Image

JPEG = "image/jpeg"


class Retrieve(DicomWebView):
    """Retrieve instances as they are stored."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        instances = self.instances()
        for instance in instances:
            # Result objects have a transfer syntax that every client supports.
            if not (instance.is_made or accepting.accepts_parts(request, accepting.DICOM, instance.syntax)):
                raise Refused(
                    "representation_not_available",
                    'Instances are available as multipart/related; type="application/dicom", in the transfer syntax '
                    "in which they are stored. Please ask for transfer-syntax=*.",
                )
        self.record_access(instances, Action.DOWNLOAD)
        parts = self._parts(instances)
        first = next(parts, None)  # read now, so that an error becomes a response
        if first is None:
            raise not_made_yet()
        return multipart.related(chain([first], parts), accepting.DICOM)

    def _parts(self, instances: list[Retrievable]) -> Iterator[multipart.ResponsePart]:
        for instance, file in files(instances):
            if isinstance(file, File):
                kind = f"{accepting.DICOM}; transfer-syntax={instance.syntax}"
                yield multipart.ResponsePart(kind, _blocks(file), self.url(*instance.uids))
            elif not instance.is_made:  # result objects that cannot be made are left out
                raise file


class Instance(Retrieve):
    """Retrieve an instance, as a part or as a plain DICOM file."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        if not accepting.accepts_by_name(request, accepting.DICOM):
            return super().get(request, **uids)
        _, file = self.open_instance(Action.DOWNLOAD)
        return StreamingHttpResponse(_blocks(file), content_type=accepting.DICOM)


class Metadata(DicomWebView):
    """Retrieve the metadata of instances: everything except their pixels."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        accepting.require_json(request)
        instances = self.instances()
        self.record_access(instances, Action.VIEW)
        return StreamingHttpResponse(self._array(instances), content_type=accepting.JSON)

    def _array(self, instances: list[Retrievable]) -> Iterator[str]:
        separator = "["
        for instance, file in files(instances):
            yield separator + metadata.of(instance.row, file, f"{self.url(*instance.uids)}/bulkdata/")
            separator = ","
        yield "]"


class Pixels(DicomWebView):
    """The base class of views for data of a single instance."""

    def frames(self, request: Request, file: File, header: headers.Header, numbers: list[int]) -> HttpResponseBase:
        kind, is_compressed = frames.media_type(header.syntax), frames.is_compressed(header.syntax)
        as_stored = accepting.accepts_parts(request, kind, header.syntax)
        # This is how viewers request frames of any transfer syntax.
        as_octets = accepting.accepts_parts(request, frames.OCTETS, header.syntax, explicitly=is_compressed)
        if not (as_stored or as_octets):
            raise Refused(
                "representation_not_available",
                f"The frames of this instance are stored as {kind}, and are not available in another form: please "
                f'accept multipart/related; type="{kind}"; transfer-syntax=*.',
            )
        content_type = f"{kind if as_stored else frames.OCTETS}; transfer-syntax={header.syntax}"
        parts = (multipart.ResponsePart(content_type, content) for content in frames.read(file, header, numbers))
        return multipart.related(_with_file(file, parts), kind if as_stored else frames.OCTETS)


class Frames(Pixels):
    """Retrieve frames as they are stored."""

    def get(self, request: Request, numbers: str, **uids: str) -> HttpResponseBase:
        _, file = self.open_instance(Action.DOWNLOAD)
        header = headers.of_image(file)
        return self.frames(request, file, header, frames.numbers(numbers, header))


class BulkData(Pixels):
    """Retrieve long values, at the URLs that replace them in the metadata."""

    def get(self, request: Request, tag: str, **uids: str) -> HttpResponseBase:
        _, file = self.open_instance(Action.DOWNLOAD)
        header = headers.of_image(file)
        if tag.upper() == "7FE00010":
            count = min(max(1, header.number("NumberOfFrames", 1)), frames.MOST_FRAMES)
            return self.frames(request, file, header, list(range(1, count + 1)))
        file.close()
        value = header.binary(int(tag, 16))
        if value is None:
            raise Http404
        return multipart.related([multipart.ResponsePart(frames.OCTETS, [value])], frames.OCTETS)


class Rendered(DicomWebView):
    """Retrieve an instance as a picture for browsers. For an image this is the preview from its preparation."""

    def get(self, request: Request, **uids: str) -> HttpResponseBase:
        instance = self.instances()[0]
        how = rendering.parse(request.query_params)
        if instance.is_made:
            return self._result_picture(request, how)
        image = instance.image
        name = str(image.preview.name or "")
        if not name:
            raise Refused("not_read_yet", "There is no picture of this instance yet, or it could not be made.")
        kind = JPEG if request.query_params else mimetypes.guess_type(name)[0] or ""
        _require(request, kind)
        self.record_access([instance], Action.VIEW)
        if not request.query_params:
            return responses.picture(request, name, image.preview_hash)
        version = f"{name} {image.preview_hash} {how}"
        return responses.cached(request, version, lambda: _preview(image, how))

    def _result_picture(self, request: Request, how: rendering.Rendering) -> HttpResponseBase:
        """The result's picture as a JPEG."""
        from PIL import Image as Picture

        _require(request, JPEG)
        _, file = self.open_instance(Action.VIEW)
        with file:
            header = headers.of_image(file)
            [content] = (b"".join(parts) for parts in frames.read(file, header, [1]))
        picture = Picture.frombytes("RGB", (header.number("Columns"), header.number("Rows")), content)
        return HttpResponse(rendering.jpeg(picture, how, picture.size), content_type=JPEG)


def _preview(image: Image, how: rendering.Rendering) -> HttpResponse:
    """An image's preview, rendered as a JPEG."""
    from PIL import Image as Picture

    try:
        content = stored.read(image.preview.name, image.preview_hash)
    except FileNotFoundError:
        raise Http404 from None
    with Picture.open(io.BytesIO(content)) as opened:
        picture = opened.convert("L" if opened.mode == "L" else "RGB")
    source = (image.width or picture.width, image.height or picture.height)
    return HttpResponse(rendering.jpeg(picture, how, source), content_type=JPEG)


def _require(request: Request, kind: str) -> None:
    if not any(accepted.match(kind) for accepted in request.accepted_types):
        raise Refused("representation_not_available", f"The picture of this instance is available as {kind}.")


def _blocks(file: File) -> Iterator[bytes]:
    with file:
        while block := file.read(responses.BLOCK):
            yield block


def _with_file(file: File, parts: Iterable[multipart.ResponsePart]) -> Iterator[multipart.ResponsePart]:
    """Yield parts of a file, and close it afterwards."""
    with file:
        yield from parts
