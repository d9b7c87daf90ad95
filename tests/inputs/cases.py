"""The table of cases: a file as people send it, and what is right for it.

A case is a name, what builds the file from a picture's pixels, and what is expected. ``same()`` is the plain picture's
answer, with these warnings; ``refused()`` is an error with one of these codes, at the door or in the worker. ``source``
is the class of places where such files come from.
"""

from tests.inputs.case import Case, same
from tests.inputs.cases_of_files import ASIDE, REFUSED, SEVERAL
from tests.inputs.cases_of_formats import FORMATS
from tests.inputs.cases_of_pdfs import PDF
from tests.inputs.cases_of_phones import PHONES
from tests.inputs.cases_of_pixels import DEPTH, MEANING, ORIENTATION
from tests.inputs.cases_of_tiffs import TIFF
from tests.inputs.containers import CONTAINERS

CONTAINER_CASES = [Case(name, build, same(within=2.0), "container") for name, build in CONTAINERS.items()]
CASES = [*CONTAINER_CASES, *DEPTH, *MEANING, *ASIDE, *ORIENTATION, *SEVERAL, *REFUSED, *FORMATS, *TIFF, *PDF, *PHONES]
