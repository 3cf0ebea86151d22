"""Compares ports with their originals, and computes the logits of one network.

May import every room except `jaxadv.commands`.
"""
