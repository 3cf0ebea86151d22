"""A run on disk: parts of rows, their columns, the manifest and adversarial images.

May import `jaxadv.support`; knows nothing of attacks or reports, and imports no JAX.
"""
