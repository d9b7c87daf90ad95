"""Make DICOM objects of results, and send them to the destinations of a department."""

from worker.dicom.quiet import keep_quiet

keep_quiet()  # here, because every worker may run this package, but only a few import the libraries
