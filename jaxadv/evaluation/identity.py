"""The identity of a run: everything that the rows of an evaluation depend on."""

import functools
import hashlib
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import model_ports
from jaxadv.evaluation.networks import Entry, Zoo
from jaxadv.evaluation.plan import Job
from jaxadv.store.identity import Identity
from jaxadv.support import machine

PACKAGES = ("jaxadv", "jax", "jaxlib", "flax", "numpy", "scipy", "pillow")
"""Packages whose version may change rows."""
HARMLESS = (
    "--xla_force_host_platform_device_count",
    "--xla_cpu_parallel_codegen_split_count",
    "--xla_dump_",
)
"""Prefixes of XLA flags that change no row."""
VARIABLES = (
    *(
        "LIBTPU_INIT_ARGS",
        "TF_XLA_FLAGS",
        "NVIDIA_TF32_OVERRIDE",
        "CUBLAS_WORKSPACE_CONFIG",
        "TF_ENABLE_ONEDNN_OPTS",
    ),
    *(
        "NPY_DISABLE_CPU_FEATURES",
        "NPY_ENABLE_CPU_FEATURES",
        "OPENBLAS_CORETYPE",
        "MKL_CBWR",
        "MKL_ENABLE_INSTRUCTIONS",
    ),
)
"""Environment variables that choose how libraries compute."""
JAX_SETTINGS = (
    *(
        "jax_enable_x64",
        "jax_explicit_x64_dtypes",
        "jax_default_matmul_precision",
        "jax_numpy_dtype_promotion",
    ),
    *(
        "jax_default_prng_impl",
        "jax_enable_custom_prng",
        "jax_threefry_partitionable",
        "jax_random_seed_offset",
    ),
    *(
        "jax_high_dynamic_range_gumbel",
        "jax_softmax_custom_jvp",
        "jax_allow_f16_reductions",
        "jax_disable_jit",
    ),
    *(
        "jax_disable_most_optimizations",
        "jax_optimization_level",
        "jax_exec_time_optimization_effort",
    ),
    *(
        "jax_use_direct_linearize",
        "jax_compiler_enable_remat_pass",
        "jax_threefry_gpu_kernel_lowering",
    ),
)
"""Settings of JAX that change programs or random numbers."""
VIEWS = ("report", "commands", "benchmark", "training", "validation", "analysis", "store")
"""Subpackages of this package that change no row."""
HELPERS = (
    *("support/log.py", "support/progress.py", "support/files.py", "support/machine.py"),
    *(
        "evaluation/estimate.py",
        "evaluation/results.py",
        "evaluation/hosts.py",
        "evaluation/scheduler.py",
        "evaluation/dispatcher.py",
        "evaluation/board.py",
        "evaluation/costs.py",
        "evaluation/status.py",
        "evaluation/ray_workers.py",
    ),
    *(
        "evaluation/compiled.py",
        "evaluation/cancel.py",
        "evaluation/identity.py",
        "core/kept.py",
        "core/memory.py",
    ),
)
"""Files of other subpackages that change no row."""


def identity(job: Job, zoo: Zoo, entries: Mapping[str, Entry]) -> Identity:
    """The identity of a run.

    Args:
        job: the job, with its number of lanes.
        zoo: the zoo of the networks that are given by name.
        entries: all networks by name.

    Returns:
        The facts, the kinds of rows that depend on them, and the machine.
    """
    sizes = [f"{name}={size}" for name, size in zoo.input_sizes.items()]
    facts = {
        "--zoo": zoo.name,
        "--models": job.models,
        "--input_size": sizes or None,
        "--ensembles": ["+".join(members) for members in job.ensembles.values()] or None,
        **job.settings.identity(),
        **{f"weights of {name}": entry.facts["sha256"] for name, entry in entries.items()},
        "data": job.source.fingerprint,
        "XLA_FLAGS": xla_flags(os.environ.get("XLA_FLAGS", "")) or None,
        **{name: os.environ[name] for name in VARIABLES if name in os.environ},
        **{name: getattr(jax.config, name) for name in JAX_SETTINGS if hasattr(jax.config, name)},
        **versions(*PACKAGES),
        "sources": sources(),
    }
    return Identity(facts, job.settings.depends(), this_machine())


def this_machine() -> dict[str, Any]:
    """The facts about this machine that rounding may depend on."""
    device = jax.devices()[0]
    known = {
        "device": device.device_kind,
        "platform": device.client.platform_version.partition("\n")[0],
        "processor": machine.processor(),
        "instructions": machine.instructions(),
    }
    if device.platform == "cpu":  # XLA divides some sums by its number of threads
        known["threads"] = max(machine.threads(), jax.local_device_count())
    return known


def xla_flags(text: str) -> list[str]:
    """The XLA flags that may change rows, in order.

    Args:
        text: the value of XLA_FLAGS: flags, or the name of a file with flags.

    Returns:
        The flags, sorted.
    """
    if text.strip() and not text.lstrip().startswith("-"):
        try:
            text = Path(text.strip()).read_text()
        except (OSError, ValueError):
            pass  # XLA reports the error
    return sorted(flag for flag in text.split() if not flag.startswith(HARMLESS))


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package, by its name."""
    return {name: metadata.version(name) for name in packages}


@functools.cache
def sources() -> str:
    """The sha256 of all source files of this project that can change rows."""
    package = Path(__file__).parents[1]
    ports = Path(model_ports.__file__).parent
    digest = hashlib.sha256()
    for root in (package, ports):
        for file in sorted(root.rglob("*.py")):
            name = file.relative_to(root).as_posix()
            if root is ports or not (
                name in HELPERS or name.startswith(tuple(f"{room}/" for room in VIEWS))
            ):
                digest.update(f"{root.name}/{name}\n".encode() + file.read_bytes())
    return digest.hexdigest()
