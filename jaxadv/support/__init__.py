"""What every room may use: checks of input, files, the log, progress and facts of the machine.

Imports nothing of jaxadv, and no JAX.
"""
