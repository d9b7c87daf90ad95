"""JSON from clients."""

import json
import re
from typing import Any, NoReturn

from rest_framework import parsers
from rest_framework.exceptions import ParseError

#: The beginning of a half of a character beyond 16 bits, as JSON may write it.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class JSONParser(parsers.BaseParser):
    """JSON. Text that is nested too deep or has a lone surrogate is malformed too.

    It is read from the request itself; for its own parser, and those made of it, REST Framework has Django keep a copy.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            content = stream.read()
            data = json.loads(content, parse_constant=_refuse)
            if _HALF.search(content):
                json.dumps(data, ensure_ascii=False).encode()  # no database and no answer can hold half a character
        except (ValueError, RecursionError) as error:
            raise ParseError(f"JSON parse error - {error}") from error
        return data


#: For views that have taken forms since the first release.
JSON_OR_FORM = (JSONParser, parsers.FormParser, parsers.MultiPartParser)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
