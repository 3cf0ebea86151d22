"""How fast networks and attacks are on this machine, and what a faster arithmetic changes in their answers.

May import `jaxadv.core`, `attacks`, `clever`, `data`, `evaluation`, `report` and `support`.
"""
