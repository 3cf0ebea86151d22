"""The command line. Each command turns flags into settings, makes one call, and prints the result.

This room may import every other room. No room imports it. It imports no JAX at its top level.
"""
