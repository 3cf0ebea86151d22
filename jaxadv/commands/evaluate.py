"""evaluate: attacks networks, estimates CLEVER scores, tests transfer, and reports."""

import sys
from types import SimpleNamespace
from typing import Any

from jaxadv.attacks import catalog
from jaxadv.support import values


def main(flags: SimpleNamespace) -> None:
    """Run the job that the flags describe, or the part of it that is missing.

    Raises:
        InputError: for a bad flag or bad input, before anything is written.
    """
    from jaxadv.evaluation import hosts
    from jaxadv.evaluation.evaluate import Evaluation

    settings = settings_of(flags)
    if flags.dry_run:
        evaluation = Evaluation.of(**networks_of(flags), data=flags.data, settings=settings)
        print(evaluation.estimate(flags.out, measure=flags.dry_run == "measure"))
        return
    if flags.ray:
        from jaxadv.evaluation import ray_workers

        print(ray_workers.run(flags.ray, sys.argv[1:], out=flags.out))
        return
    hosts.join_pod()
    how = {name: getattr(flags, name) for name in ("overwrite", "any_machine", "join")}
    run = Evaluation.of(**networks_of(flags), data=flags.data, settings=settings).run(
        flags.out, claim_seconds=flags.claim_seconds, **how
    )
    page = run.directory / "report.html"
    if run.was_finished:
        again = f"report --out={run.directory} makes it again"
        print(f"nothing is left to do; report: {page} ({again})")
    elif not run.made_report:
        print(f"the run is finished; {run.manifest['finished_by']} ended it", file=sys.stderr)
    else:
        if "report" in settings.parts:
            print(f"report: {page}")
        print(f"finished in {run.manifest['seconds']:.0f} s", file=sys.stderr)


def settings_of(flags: SimpleNamespace):
    """Turn the flags of evaluate into `Settings`.

    Raises:
        InputError: for a bad flag.
    """
    from jaxadv.evaluation.settings import CLEVER, PARTS, CleverSettings, Settings, sweep

    settings = Settings(
        parts=tuple(values.chosen("parts", flags.parts, PARTS)),
        attacks=sweep(_attacks(flags.attacks), **_swept(flags)),
        targets=_kinds("targets", flags.targets),
        attack_targets={
            name: _kinds(f"{name}_targets", getattr(flags, f"{name}_targets"))
            for name in (*catalog.names(), CLEVER)
            if getattr(flags, f"{name}_targets") is not None
        },
        clever=CleverSettings(
            **{
                name: getattr(flags, f"clever_{name}")
                for name in CleverSettings.__dataclass_fields__
            }
        ),
        figures=None if flags.figures is None else tuple(flags.figures),
        **{
            name: getattr(flags, name)
            for name in Settings.__dataclass_fields__
            if name not in ("parts", "attacks", "targets", "attack_targets", "clever", "figures")
        },
    )
    settings.check()
    return settings


def _attacks(given: list[str]) -> list[str]:
    """The names in --attacks, without repeats."""
    for name in given:
        if name.strip():
            catalog.get(name.strip())
    return values.chosen("attacks", given, catalog.names())


def _swept(flags: SimpleNamespace) -> dict[str, list[Any]]:
    """The values of each parameter of the chosen attacks, by the parameter's flag."""
    swept: dict[str, list[Any]] = {}
    for attack in catalog.ATTACKS:
        if attack.name not in flags.attacks:
            continue
        for parameter in attack.parameters:
            name = parameter.flag_name
            value = getattr(flags, name)
            if not parameter.swept:
                swept[name] = [value]
            elif parameter.kind in (int, float):
                swept[name] = values.numbers(name, value, parameter.kind)
            else:
                swept[name] = [text.strip() for text in value]
    return swept


def _kinds(name: str, kinds: list[str]) -> tuple[str, ...]:
    from jaxadv.core import targets

    return tuple(values.chosen(name, kinds, tuple(targets.KINDS)))


def networks_of(flags: SimpleNamespace) -> dict[str, Any]:
    """Turn the flags of evaluate into the arguments of `Evaluation.of` that choose networks.

    Raises:
        InputError: for a bad flag.
    """
    from jaxadv.evaluation.networks import ZOO, Zoo
    from jaxadv.foreign.forms import FORMS
    from model_ports import registry

    sizes = values.input_sizes(flags.input_size)
    values.chosen("zoo", [flags.zoo], registry.ZOOS)
    names = [] if flags.models == ["none"] else values.models(flags.models, ZOO, FORMS)
    zoo = Zoo(
        flags.zoo,
        flags.weights_dir,
        sizes,
        allow_missing=bool(flags.dry_run),
        pretrained=flags.pretrained,
    )
    return {
        "models": [*names, *(flags.model_module or [])],
        "zoo": zoo,
        "ensembles": values.ensembles(flags.ensembles),
    }
