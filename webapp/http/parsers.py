"""Parse JSON from clients."""

import json
import re
from typing import Any, NoReturn

from rest_framework import parsers
from rest_framework.exceptions import ParseError

#: Start of a JSON escape sequence for a surrogate, which is half of a character beyond 16 bits.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class JSONParser(parsers.BaseParser):
    """JSON. A document that is nested too deeply or contains a lone surrogate is malformed too.

    This parser reads the request directly. For REST Framework's own JSON parser and its subclasses, Django keeps a
    copy of the body.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            content = stream.read()
            data = json.loads(content, parse_constant=_refuse)
            if _HALF.search(content):
                json.dumps(data, ensure_ascii=False).encode()  # half a character fits in no database and no response
        except (ValueError, RecursionError) as error:
            raise ParseError(f"JSON parse error - {error}") from error
        return data


#: Parsers of views that have accepted forms since the first release.
JSON_OR_FORM = (JSONParser, parsers.FormParser, parsers.MultiPartParser)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
