"""Versions as released programs wrote them, and what they answered: later programs must read them and answer the same.

`python -m tests.golden.make FOLDER` writes those of the program as it is; it is run once, when a format is released.
"""
