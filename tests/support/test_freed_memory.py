"""Memory that a network frees stays with the process, and its next call gets it."""

import os
import platform
import subprocess
import sys
import textwrap

import pytest

CALLS = 10
PROGRAM = f"""
    import resource, sys
    import jaxadv
    from jaxadv.support import freed_memory

    if len(sys.argv) > 1:
        freed_memory.let_go()
    import jax, jax.numpy as jnp

    large = jnp.ones((6000, 1500))  # 36 MB: more than the largest block that glibc itself keeps
    program = jax.jit(lambda x: jnp.sin(x @ jnp.ones((1500, 1500))) @ jnp.ones((1500, 2)))
    faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):  # the heap grows in the first few
        jax.block_until_ready(program(large))
    before = faults()
    for _ in range({CALLS}):
        jax.block_until_ready(program(large))
    print((faults() - before) / {CALLS})
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has the settings")
@pytest.mark.parametrize(
    ("chosen", "words", "is_kept"),
    [
        ({}, [], True),
        ({}, ["as before"], False),
        ({"JAXADV_KEEP_MEMORY": "0"}, [], False),
        ({"MALLOC_ARENA_MAX": "4"}, [], False),
    ],
)
def test_a_call_gets_the_memory_of_the_last_one(chosen, words, is_kept):
    own = {name: v for name, v in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    printed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), *words],
        env=own | chosen,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    pages = 6000 * 1500 * 4 // 4096  # of the product alone
    assert (float(printed) < pages / 10) == is_kept
