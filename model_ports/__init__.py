"""The networks of the study as Flax NNX ports. Imports nothing of jaxadv, and nothing heavy until asked."""
