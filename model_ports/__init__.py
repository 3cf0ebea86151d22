"""The networks of the study as Flax NNX ports. Imports nothing of jaxadv. Heavy libraries are imported when they are needed."""
