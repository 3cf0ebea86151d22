"""The networks of the study as Flax NNX ports.

This package imports nothing of jaxadv. It imports large libraries only when they are needed.
"""
