"""The study as a library: settings, networks, units of work, and who does them when.

May import every room but `commands`, `benchmark`, `training` and `validation`.
"""
