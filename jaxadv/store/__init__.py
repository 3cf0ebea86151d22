"""A run on disk: parts of rows, their columns, the manifest and adversarial images.

This package may import `jaxadv.support`. It knows nothing of attacks or reports, and does not
import JAX.
"""
