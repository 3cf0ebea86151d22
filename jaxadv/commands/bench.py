"""bench: how fast the attacks and CLEVER are beside a network's raw gradient."""

from pathlib import Path
from types import SimpleNamespace

from jaxadv.attacks import catalog
from jaxadv.support import values


def main(flags: SimpleNamespace) -> None:
    """Measure --models, and write bench.csv, .md, .png and .svg to --out, and the rows to its history.csv.

    Raises InputError.
    """
    from jaxadv.benchmark import bench
    from jaxadv.core.classifier import load_classifier
    from jaxadv.core.engine import DEFAULT_LANES
    from jaxadv.evaluation import precision
    from jaxadv.evaluation.networks import ZOO, random_classifier
    from jaxadv.evaluation.settings import CLEVER
    from model_ports import registry, weights

    values.chosen("zoo", [flags.zoo], registry.ZOOS)
    networks = [registry.network(name, zoo=flags.zoo) for name in values.models(flags.models, ZOO)]
    if flags.random_weights:
        classifiers = (random_classifier(network) for network in networks)
    else:
        places = [weights.find(network, flags.weights_dir) for network in networks]
        classifiers = (
            load_classifier(network.spec.name, zoo=flags.zoo, weights=place)
            for network, place in zip(networks, places, strict=True)
        )
    asked = bench.Bench(
        out=Path(flags.out or "results/bench"),
        zoo=flags.zoo,
        lanes=flags.lanes or DEFAULT_LANES,
        precision=precision.decided(flags.precision, [*catalog.names(), CLEVER]),
        steps=flags.bench_steps,
        turns=flags.bench_turns,
        progress=flags.progress,
    )
    print(bench.text(bench.run(classifiers, asked)))
    print(f"written: {asked.out / 'bench.md'}")
