"""How fast networks and attacks are on this machine.

May import `jaxadv.core`, `attacks`, `clever`, `evaluation`, `report` and `support`.
"""
