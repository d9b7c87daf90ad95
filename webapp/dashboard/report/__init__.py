"""The report of a result: one page as a PDF."""
