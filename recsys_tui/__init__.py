"""The front ends: the command line and the terminal UI. No numerics and no SQL live here."""

__version__ = "0.1.0"
