"""Move an installation's rows and files to another database and storage, back them up, and restore a backup.

An interrupted run can be started again, and continues where it stopped.
"""
