"""The command line: flags to settings, one call, and what is printed.

May import every room; nobody imports it, and it imports no JAX.
"""
