"""The command-line client of PneumoQueue."""

__version__ = "0.1.0"
