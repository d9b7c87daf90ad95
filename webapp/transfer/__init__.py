"""Move an installation's rows and files: to another database and storage, into a backup, and out of it.

An interrupted run can be run again and continues where it stopped.
"""
