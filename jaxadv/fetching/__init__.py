"""Bringing weights and pictures here: addresses, downloads, archives, and what is made of them.

Nothing that arrives is executed. `study` brings what the study's authors publish, `single` one
network from its own address.
"""
