"""Tools for every room: checks of input, files, the log, progress, and facts about the machine.

This room imports no other room of jaxadv, and no JAX.
"""
