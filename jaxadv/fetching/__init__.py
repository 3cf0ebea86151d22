"""Downloads weights and pictures: addresses, transfers, archives, and their conversion.

Nothing that is downloaded is executed. `fetch.fetch` brings anything by name. `study` brings what
the study's authors publish, `single` one network from its own address, `rerun` a re-run's record.
"""
