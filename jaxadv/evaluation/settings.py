"""The settings of an evaluation: one typed, frozen object, checked in one place."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from jaxadv.attacks import catalog
from jaxadv.core import targets
from jaxadv.support import checks
from model_ports.errors import InputError, unknown

PARTS = ("attacks", "transfer", "clever", "report")
AUTO = "auto"
PRECISIONS = ("highest", "high", "default", "bfloat16", AUTO)
CLEVER = "clever"
UNTARGETED = "untargeted"
NOT_IN_ROWS = (
    "parts",
    "figures",
    "save_adversarial",
    "save_seconds",
    "at_once",
    "progress",
    "data_cache",
    "data_threads",
)
"""Fields that change no row. All other fields are part of a run's identity."""


@dataclass(frozen=True)
class CleverSettings:
    """How CLEVER scores are estimated.

    Args:
        images: how many of the attacked images are scored, beginning with the first; None for all.
        batches: Nb, the number of batches whose maxima are fitted, at least 2.
        samples: Ns, the number of samples in a batch.
        protocol: "released" or "paper" (see `jaxadv.clever.sampler.CleverSampler`).
        method: the method of the fit: "released", "mle" or "max".
        radius: the radius of the samples, in pixel units of range 1; None for the protocol's
            default.
    """

    images: int | None = None
    batches: int = 500
    samples: int = 1024
    protocol: str = "released"
    method: str = "released"
    radius: float | None = None

    def check(self) -> None:
        """Raises InputError if a setting is out of range."""
        from jaxadv.clever.sampler import PROTOCOLS, CleverSampler
        from jaxadv.clever.weibull import METHODS

        _at_least_one("clever_images", self.images)
        checks.choice("clever_protocol", self.protocol, tuple(PROTOCOLS))
        checks.choice("clever_method", self.method, METHODS)
        checks.count("clever_batches", self.batches, low=2)
        checks.count("clever_samples", self.samples)
        radius = PROTOCOLS[self.protocol] if self.radius is None else self.radius
        CleverSampler(radius=radius, samples=self.samples, protocol=self.protocol).check()


class Attempt(NamedTuple):
    """One attack with one setting and one kind of target. It is tried on every image."""

    attack: str  # its name in the catalogue
    label: str  # the setting, such as "eps=0.1"
    target_kind: str  # one of `jaxadv.core.targets.KINDS`
    probe: Any  # see `jaxadv.core.probe`
    plain: dict[str, Any]  # the setting's values, as in the columns of the rows


def default_attacks() -> tuple[Any, ...]:
    """The study's attacks with the default settings of the command line."""
    return sweep(attack.name for attack in catalog.ATTACKS if attack.is_default)


def sweep(names: Iterable[str], **values: Sequence[Any]) -> tuple[Any, ...]:
    """The probes of some attacks for every combination of their parameters' values.

    Args:
        names: names of attacks in the catalogue.
        **values: the values of a parameter, by the name of its flag. A missing parameter has its defaults.

    Returns:
        The probes.

    Raises:
        InputError: if an attack is unknown, or a setting is out of range.
    """
    probes = []
    for name in names:
        attack = catalog.get(name)
        lists = [values.get(one.flag_name, one.defaults) for one in attack.parameters]
        for one, given in zip(attack.parameters, lists, strict=True):
            if not given:
                raise InputError(f"--{one.flag_name} is empty; give at least one value")
        for combination in itertools.product(*map(_unique, lists)):
            plain = {
                one.name: value for one, value in zip(attack.parameters, combination, strict=True)
            }
            for one in attack.parameters:
                if one.choices:
                    checks.choice(one.flag_name, plain[one.name], tuple(one.choices))
            probe = attack.make(plain)
            probe.check()
            probes.append(probe)
    return tuple(probes)


@dataclass(frozen=True)
class Settings:
    """All settings of an evaluation except its networks and its data.

    Args:
        parts: the parts to do, out of "attacks", "transfer", "clever" and "report".
        attacks: probes such as ``jaxadv.FGSM(eps=0.1)``. Several of one attack make a sweep.
        targets: the kinds of target, out of "untargeted", "random", "least" and "top2".
        attack_targets: the kinds of target of single attacks, or of "clever", if they differ from
            ``targets``.
        clever: how CLEVER scores are estimated.
        selection: the images: "first", "random", "study", "clever100", "common" or "robustbench".
            "common" takes the images that all networks classify correctly.
        num_images: how many images of the selection are classified; None for all.
        attacked_images: how many of the correctly classified images are attacked, beginning with
            the first; None for all.
        preprocessing: "study" or "resize-256-crop".
        not_rgb: the treatment of pictures that are not RGB: "drop" or "convert".
        data_cache: a folder for decoded pictures, or None.
        data_threads: threads that decode pictures; None for one for each processor.
        block_images: attacked images in memory at a time, and in a part of the rows.
        lanes: images side by side on the device; None to choose by memory, once for the run.
        precision: of gradients: "highest", "high", "default", "bfloat16" or "auto". "auto" takes
            the fastest one that does not change the attacks' results, by measurements on this kind
            of device.
        fast_layers: whether networks that are not of the zoo get the project's own convolutions and
            pools on a CPU (see `jaxadv.core.fast_layers`).
        seed: the seed of random targets and of CLEVER's samples.
        study_seed: the seed of the study's shuffle, which chooses its images and draws its targets.
        save_adversarial: whether to keep all adversarial images.
        save_seconds: the time between two saves of unfinished work, in seconds.
        at_once: how many networks run at the same time; None for 2 on CPU, else 1.
        figures: patterns of the figures to draw; None for all.
        progress: whether standard error shows progress.
    """

    parts: tuple[str, ...] = PARTS
    attacks: tuple[Any, ...] = field(default_factory=default_attacks)
    targets: tuple[str, ...] = ("untargeted", "random")
    attack_targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    clever: CleverSettings = CleverSettings()
    selection: str = "first"
    num_images: int | None = None
    attacked_images: int | None = None
    preprocessing: str = "study"
    not_rgb: str = "drop"
    data_cache: str | None = None
    data_threads: int | None = None
    block_images: int = 256
    lanes: int | None = None
    precision: str = "highest"
    fast_layers: bool = True
    seed: int = 1215
    study_seed: int = 1215
    save_adversarial: bool = False
    save_seconds: float = 60.0
    at_once: int | None = None
    figures: tuple[str, ...] | None = None
    progress: bool = True

    def check(self) -> None:
        """Raises InputError for the first wrong setting, in one line."""
        names("parts", self.parts, PARTS)
        if "transfer" in self.parts and "attacks" not in self.parts:
            raise InputError(
                "--parts has transfer without attacks; transfer needs the images of attacks: add "
                "attacks"
            )
        if "attacks" in self.parts:
            if not self.attacks:
                raise InputError(
                    "attacks is empty; give at least one, such as jaxadv.FGSM(eps=0.1)"
                )
            for probe in self.attacks:
                catalog.check(probe)
        names("targets", self.targets, tuple(targets.KINDS))
        for attack, kinds in self.attack_targets.items():
            if attack != CLEVER:
                catalog.get(attack)
            names(f"{attack}_targets", kinds, tuple(targets.KINDS))
        if "attacks" in self.parts:
            self._check_untargeted()
        if "clever" in self.parts:
            self.clever.check()
        for name in ("num_images", "attacked_images", "data_threads", "lanes", "at_once"):
            _at_least_one(name, getattr(self, name))
        checks.count("block_images", self.block_images)
        checks.choice("precision", self.precision, PRECISIONS)
        checks.choice("fast_layers", self.fast_layers, (True, False))
        checks.whole_numbers("seed", self.seed)
        checks.whole_numbers("study_seed", self.study_seed)
        checks.count("seed", self.seed, low=0)
        checks.count("study_seed", self.study_seed, low=0)
        checks.number("save_seconds", self.save_seconds, low=0)

    def _check_untargeted(self) -> None:
        """Raises InputError for an attack without a targeted form that is given targets alone."""
        from jaxadv.core.probe import needs_of

        for probe in self.attacks:
            name = catalog.check(probe).name
            kinds = self.kinds(name)
            of_its_own = [kind for kind in self.attack_targets.get(name, ()) if kind != UNTARGETED]
            if needs_of(probe).untargeted and (of_its_own or UNTARGETED not in kinds):
                raise InputError(
                    f"targets of {name} are {','.join(kinds)}; {probe!r} has no targeted form: "
                    f"give --{name}_targets=untargeted, or leave the attack out"
                )

    def kinds(self, attack: str) -> tuple[str, ...]:
        """The kinds of target of one attack.

        Args:
            attack: its name, or "clever".

        Returns:
            The kinds, each once.
        """
        return tuple(dict.fromkeys(self.attack_targets.get(attack, self.targets)))

    def attempts(self) -> list[Attempt]:
        """Every combination of attack, kind of target and setting, in the order of the rows.

        An attack without a targeted form takes the kind "untargeted" alone.
        """
        from jaxadv.core.probe import needs_of

        if "attacks" not in self.parts:
            return []
        return [
            Attempt(name, label, kind, probe, plain)
            for name, plains in self._plains().items()
            for attack in [catalog.get(name)]
            for kind in self.kinds(name)
            for label, plain in zip(catalog.labels(attack, plains), plains, strict=True)
            for probe in [attack.make(plain)]
            if kind == UNTARGETED or not needs_of(probe).untargeted
        ]

    def _plains(self) -> dict[str, list[dict[str, Any]]]:
        """The settings of each attack by its name, as plain values, each once."""
        plains: dict[str, list[dict[str, Any]]] = {}
        for probe in self.attacks:
            attack = catalog.check(probe)
            settings = plains.setdefault(attack.name, [])
            plain = attack.plain(probe)
            if plain not in settings:
                settings.append(plain)
        return plains

    def to_dict(self) -> dict[str, Any]:
        """The settings as a dict for JSON. `from_dict` reads it."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return plain | {
            "attacks": {name: _as_lists(settings) for name, settings in self._plains().items()},
            "attack_targets": {name: list(kinds) for name, kinds in self.attack_targets.items()},
            "clever": asdict(self.clever),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Settings":
        """The settings from a dict of `to_dict`.

        Args:
            value: the dict.

        Returns:
            The settings.

        Raises:
            InputError: if an attack is unknown.
        """
        probes = [
            catalog.get(name).make(plain)
            for name, settings in value["attacks"].items()
            for plain in _from_lists(settings)
        ]
        lists = {name: tuple(value[name]) for name in ("parts", "targets")}
        figures = value["figures"]
        others: dict[str, Any] = {
            "attacks": tuple(probes),
            "attack_targets": {
                name: tuple(kinds) for name, kinds in value["attack_targets"].items()
            },
            "clever": CleverSettings(**value["clever"]),
            "figures": None if figures is None else tuple(figures),
        }
        return cls(**{**value, **lists, **others})

    def identity(self) -> dict[str, Any]:
        """Everything that changes rows, by the names that a user knows.

        Returns:
            The values by flag. A flag of an attack follows the attack's name.
        """
        plain = {name: value for name, value in self.to_dict().items() if name not in NOT_IN_ROWS}
        attacks, kinds, clever = (
            plain.pop(name) for name in ("attacks", "attack_targets", "clever")
        )
        identity = {f"--{name}": value for name, value in plain.items()}
        identity |= {f"--{name}_targets": value for name, value in kinds.items()}
        identity |= {f"--clever_{name}": value for name, value in clever.items()}
        identity["--attacks"] = list(attacks)
        for name, settings in attacks.items():
            flags = {one.name: one.flag_name for one in catalog.get(name).parameters}
            if isinstance(settings, dict):
                identity |= {f"{name} --{flags[key]}": values for key, values in settings.items()}
            else:
                identity[f"{name} settings"] = settings
        return identity

    def depends(self) -> dict[str, tuple[str, ...]]:
        """The entries of `identity` that only some kinds of rows depend on, with these kinds."""
        attempted = ("examples", "adversarial", "transfer")
        kinds = {}
        for name in self.identity():
            flag = name.removeprefix("--")
            of_attack = any(
                name == f"--{attack}_targets" or name.startswith(f"{attack} ")
                for attack in catalog.names()
            )
            if flag.startswith("clever_"):
                kinds[name] = (CLEVER,)
            elif flag == "attacks" or of_attack:
                kinds[name] = attempted
            elif flag in ("targets", "attacked_images", "precision"):
                kinds[name] = (*attempted, CLEVER)
        return kinds


def names(flag: str, values: Sequence[str] | None, allowed: Sequence[str]) -> list[str]:
    """Check a list of names.

    Args:
        flag: the flag's name in errors.
        values: the list.
        allowed: all valid names.

    Returns:
        The names, each once.

    Raises:
        InputError: if a name is unknown, or if there is none.
    """
    if isinstance(values, str):
        raise InputError(f"{flag} is {values!r}; give a list of names, such as [{values!r}]")
    chosen = list(dict.fromkeys(value.strip() for value in values or [] if value.strip()))
    if not chosen:
        raise InputError(f"--{flag} is empty; give at least one of {', '.join(allowed)}")
    for value in chosen:
        if value not in allowed:
            raise unknown(flag.rstrip("s").replace("_", " "), value, allowed)
    return chosen


def _at_least_one(name: str, value: int | None) -> None:
    if value is not None:
        checks.count(name, value)


def _unique(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _as_lists(settings: list[dict[str, Any]]) -> dict[str, list[Any]] | list[dict[str, Any]]:
    """The values of each parameter, if the settings are all combinations in order; otherwise the
    settings unchanged.
    """
    lists = {name: _unique([setting[name] for setting in settings]) for name in settings[0]}
    return lists if _from_lists(lists) == settings else settings


def _from_lists(settings: dict[str, list[Any]] | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(settings, list):
        return settings
    return [
        dict(zip(settings, values, strict=True)) for values in itertools.product(*settings.values())
    ]
