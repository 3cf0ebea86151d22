"""bench: the speed of attacks and CLEVER, compared with a network's raw gradient."""

from pathlib import Path
from types import SimpleNamespace

from jaxadv.attacks import catalog
from jaxadv.support import values


def main(flags: SimpleNamespace) -> None:
    """Measure the networks of --models. With --peers these are small networks, in other packages
    too.

    Writes bench.csv, bench.md, bench.png and bench.svg to --out, and appends the rows to
    history.csv there. With --peers it writes peers.csv and peers.md.

    Raises:
        InputError: for a bad flag, or for weights that are missing.
    """
    out = Path(flags.out or "results/bench")
    if flags.peers:
        from jaxadv.benchmark import bench, peers

        turns, threads = flags.bench_turns, flags.bench_threads
        how = {"turns": turns, "threads": threads, "progress": flags.progress}
        print(bench.text(peers.run(flags.peers, networks=flags.models, out=out, **how)))
        print(f"written: {out / 'peers.md'}")
        return
    from jaxadv.benchmark import bench
    from jaxadv.core.engine import DEFAULT_LANES
    from jaxadv.evaluation import precision
    from jaxadv.evaluation.networks import ZOO
    from jaxadv.evaluation.settings import CLEVER
    from model_ports import registry

    values.chosen("zoo", [flags.zoo], registry.ZOOS)
    classifiers = bench.classifiers(
        values.models(flags.models, ZOO),
        zoo=flags.zoo,
        weights_dir=flags.weights_dir,
        random_weights=flags.random_weights,
    )
    settings = bench.Bench(
        out=out,
        zoo=flags.zoo,
        lanes=flags.lanes or DEFAULT_LANES,
        precision=precision.decided(flags.precision, [*catalog.names(), CLEVER]),
        steps=flags.bench_steps,
        turns=flags.bench_turns,
        progress=flags.progress,
    )
    print(bench.text(bench.run(classifiers, settings)))
    print(f"written: {settings.out / 'bench.md'}")
