"""The table of cases: files as people send them, and the expected result of each.

A case has a name, a function that builds the file from a picture's pixels, and the expected result. ``same()`` is the
plain picture's answer, with these warnings. ``refused()`` is an error with one of these codes, from the upload or from
the worker. ``source`` is the kind of place where such files come from.
"""

from tests.inputs.case import Case, same
from tests.inputs.cases_of_files import DAMAGED, REFUSED, SEVERAL
from tests.inputs.cases_of_formats import FORMATS
from tests.inputs.cases_of_pdfs import PDF
from tests.inputs.cases_of_phones import PHONES
from tests.inputs.cases_of_pixels import DEPTH, MEANING, ORIENTATION
from tests.inputs.cases_of_tiffs import TIFF
from tests.inputs.containers import CONTAINERS

CONTAINER_CASES = [Case(name, build, same(within=2.0), "container") for name, build in CONTAINERS.items()]
CASES = [*CONTAINER_CASES, *DEPTH, *MEANING, *DAMAGED, *ORIENTATION, *SEVERAL, *REFUSED, *FORMATS, *TIFF, *PDF, *PHONES]
