"""A clinic's rows and files, taken from one place to another: to another database and storage, into a backup and out
of it again. Whatever is interrupted can be run again, and goes on where it was.
"""
