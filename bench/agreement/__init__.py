"""Shosei beside other people's meters, on the same work: the parts of ``bench/agree.py``."""
