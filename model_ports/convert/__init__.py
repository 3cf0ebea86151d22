"""Converts files of the original implementations to parameters of the ports."""
