"""The study as a library: settings, networks, units of work, and their schedule.

This package may import every other one except `commands`, `benchmark`, `training` and `validation`.
"""
