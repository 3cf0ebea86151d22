"""Measures the speed of networks and attacks, and how lower precision changes their results.

May import `jaxadv.core`, `attacks`, `clever`, `data`, `evaluation`, `report` and `support`.
"""
