"""Every flag of the command line, in groups. The commands that use them check names and ranges."""

from absl import flags

from jaxadv.attacks import catalog
from jaxadv.support import values

MULTI = "a comma-separated list makes a sweep"
GROUPS: dict[str, list[str]] = {}
"""The names of the flags in each group, in order."""
EVERYWHERE = ("progress", "compilation_cache", "small", "at_full_size", "seed")
MOST = 2**31 - 1
"""Of a seed."""
PLACES = (
    "out",
    "weights_dir",
    "data_cache",
    "compilation_cache",
    "source",
    "images",
    "save",
    "study",
    "to",
)
"""Flags whose value is a file or a folder. Data and own models have theirs behind a colon."""
_NOT_OF_EVALUATE = ("bench", "fetch", "convert, validate, predict and train")
FLAGS_OF: dict[str, tuple[str, ...]] = {
    "report": ("out", "figures"),
    "fetch": ("to", "only", "models", "source", "sha256", "keep_archives", "keep_graphs"),
    "convert": ("model", "source", "weights_dir", "alexnet_lrn"),
    "validate": (
        *("model", "source", "weights_dir", "alexnet_lrn", "input_size", "images"),
        *("save", "gradient", "float64", "tolerance", "study", "num_images", "lanes"),
    ),
    "predict": (
        *("model", "zoo", "weights_dir", "alexnet_lrn", "input_size", "images"),
        *("save", "gradient", "float64"),
    ),
    "train": ("models", "out", "epochs"),
    "bench": (
        *("zoo", "models", "weights_dir", "random_weights", "lanes", "precision"),
        *("bench_steps", "bench_turns", "out"),
    ),
    "list": ("zoo", "weights_dir", "study"),
}
"""The flags that each command takes, beside `EVERYWHERE`; evaluate takes the groups that are not other commands'."""


def allowed(command: str) -> set[str]:
    """The names of the flags that a command takes."""
    if command in FLAGS_OF:
        return {*FLAGS_OF[command], *EVERYWHERE}
    return {
        name for group, names in GROUPS.items() if group not in _NOT_OF_EVALUATE for name in names
    }


def known() -> list[str]:
    """The names of all flags."""
    return [name for names in GROUPS.values() for name in names]


# A table, one flag a line.
# fmt: off
def define() -> None:
    """Define all flags; once a process."""
    what = "What to evaluate"
    _text(what, "zoo", "digits", "digits: the embedded, trained small networks; imagenet: full size, with weights_dir")
    _names(what, "models", ["all"], "networks of the zoo, all, or none (beside model_module)")
    _names(what, "model_module", None, "FILE.py:FUNCTION of your own, which returns a Classifier or a list, to be evaluated beside models")
    _names(what, "input_size", None, "evaluate: NAME=PIXELS, where a network runs at another size than its own; predict, validate: PIXELS")
    _names(what, "ensembles", None, "A+B+C,D+E: attack these networks as one too, and show the images to the networks not in it")
    _text(what, "weights_dir", None, "folder with a converted folder, or an .npz of original names, for each network; convert writes there")
    _text(what, "data", "digits", "digits (the test part of those embedded), imagefolder:DIR, tfds:NAME[/SPLIT] or npz:FILE")
    _text(what, "selection", "first", "of the data: first, random, study, clever100, common (all networks are right), robustbench")
    _count(what, "study_seed", 1215, "of the study's own shuffle: 1215 as its README has it, or 1216, its code's default", 0, MOST)
    _text(what, "study", None, "folder that fetch has filled: stands for --zoo=imagenet, --data and --weights_dir")
    _count(what, "num_images", None, "images to classify, of the selection; all if not given")
    _text(what, "preprocessing", "study", "study (shorter side by Lanczos, no margin) or resize-256-crop (bilinear, 256/224)")
    _text(what, "not_rgb", "drop", "pictures that are not RGB: drop, as the study did, or convert")
    _text(what, "data_cache", None, "folder for decoded pictures, which are then decoded once a size")
    _count(what, "data_threads", None, "threads that decode; one a processor if not given")
    _count(what, "attacked_images", None, "images to attack, the first that a network classifies correctly; all if not given")
    _names(what, "parts", ["attacks", "transfer", "clever", "report"], "of attacks, transfer, clever, report")
    _names(what, "attacks", _default_attacks(), f"of {', '.join(catalog.names())}")
    _names(what, "targets", ["untargeted", "random"], "of untargeted, random, least, top2")
    for attack in (*catalog.names(), "clever"):
        _names(what, f"{attack}_targets", None, f"targets of {attack}, where they differ from --targets")

    for attack in catalog.ATTACKS:
        for parameter in attack.parameters:
            if parameter.flag_name not in GROUPS.get(attack.group, []):
                _parameter(attack.group, parameter)

    clever = "CLEVER"
    _count(clever, "clever_images", None, "images to score, the first that a network classifies correctly; all if not given")
    _count(clever, "clever_batches", 500, "Nb: batches whose maxima are fitted")
    _count(clever, "clever_samples", 1024, "Ns: samples in a batch")
    _text(clever, "clever_protocol", "released", "released, or paper")
    _text(clever, "clever_method", "released", "of the fit: released, mle or max")
    _number(clever, "clever_radius", None, "of the samples, in pixel units; the protocol's own if not given")

    how = "How to run"
    _text(how, "out", None, "folder for the results; results/embedded for the embedded job, else results/<time>")
    _names(how, "figures", None, "patterns of the figures to draw, such as transfer_*; report: those of the run if not given; else all")
    _count(how, "small", None, "unless --data or --weights_dir is given: start from flags/embedded.flags with so many attacked_images")
    _define(how, flags.DEFINE_multi_string, "at_full_size", None, "NAME=VALUE: a flag to start from if --data or --weights_dir is given")
    _switch(how, "overwrite", False, "replace the run that --out already holds; without it, the same command continues that run")
    _switch(how, "any_machine", False, "go on with a run that another kind of machine began; its rows may differ by rounding")
    _define(how, _define_plan, "dry_run", "", "say what would be done and how much disk it takes, and do nothing; =measure: also how long")
    _switch(how, "save_adversarial", False, "keep all adversarial images, float32, as Zarr arrays in adversarial/")
    _number(how, "save_seconds", 60.0, "how often unfinished attacks and scores are written down, so that a kill loses no more")
    _count(how, "lanes", None, "images side by side on the device; if not given 32 on a processor, 256 elsewhere, or what memory allows")
    _text(how, "precision", "highest", "of gradients: highest, high, default, bfloat16; auto: what attacks bear; highest judges successes")
    _count(how, "block_images", 256, "attacked images in memory at a time, and in a part of the rows")
    _count(how, "at_once", None, "networks at work at the same time; 2 on a processor, 1 on an accelerator if not given")
    _count(how, "seed", 1215, "of random targets, CLEVER's samples, and training", 0, MOST)
    _text(how, "compilation_cache", "~/.cache/jaxadv", "folder for compiled programs, so that they are compiled once; empty for none")
    _switch(how, "progress", True, "show progress on standard error")

    hosts = "Several processes or hosts, with one --out that all of them see"
    _switch(hosts, "multihost", False, "this is one of several processes, of which a TPU pod, SLURM, Open MPI or Kubernetes tells")
    _text(hosts, "coordinator", None, "elsewhere: HOST:PORT of process 0, the same for all")
    _count(hosts, "processes", None, "how many there are")
    _count(hosts, "process", None, "which one this is, from 0", lower_bound=0)

    bench = "bench"
    _switch(bench, "random_weights", False, "networks with fresh weights, which need no file")
    _count(bench, "bench_steps", 16, "evaluations of an attack, at least 4")
    _count(bench, "bench_turns", 5, "how often everything is measured")

    fetch = "fetch"
    _text(fetch, "to", None, "folder that it fills: weights/NAME, pictures, fetched.json")
    _text(fetch, "only", None, "of the study: weights or pictures")
    _names(fetch, "sha256", None, "SHA-256 of archives that you trust, beside those that are recorded")
    _switch(fetch, "keep_archives", False, "keep the archives in TO/archives")
    _switch(fetch, "keep_graphs", False, "of the study: keep each network's frozen graph in TO/graphs")

    other = "convert, validate, predict and train"
    _text(other, "model", None, "convert, validate, predict: the network")
    _text(
        other,
        "source",
        None,
        ".pb, checkpoint's prefix (validate: with its .meta), .h5, .keras, .pth, .safetensors; convert: .npz too; "
        "fetch: a folder, or its https:// address, that has the archives",
    )
    _text(other, "alexnet_lrn", None, "AlexNet at full size as it was until 2017-08, 2018-05 or 2018-08, where its normalisation differed")
    _text(other, "images", None, "predict, validate: .npy of images (N, S, S, 3) in [0, 1]; validate has two of its own")
    _text(other, "save", None, "predict: .npz to write: logits, raw_logits, and gradient if asked for; validate: .csv, .md or .json")
    _names(other, "gradient", None, "predict, validate: A,B for the gradient of raw logit A minus raw logit B")
    _switch(other, "float64", False, "predict, validate: the whole network in double precision")
    _number(other, "tolerance", None, "validate: allowed relative difference of logits: 1e-5 (MobileNets, Keras's VGG 5e-5), float64 1e-7")
    _count(other, "epochs", None, "train: passes over the training pictures, where they differ from the recipe's")
# fmt: on


class _PlanParser(flags.ArgumentParser[str]):
    """A switch that may also say "measure"."""

    syntactic_help = "true, false or measure"
    _VALUES = {"true": "count", "count": "count", "measure": "measure", "false": "", "": ""}

    def parse(self, argument: str | bool) -> str:
        text = str(argument).lower()
        if text not in self._VALUES:
            raise ValueError(f"{argument!r} is not allowed; give --dry_run, or --dry_run=measure")
        return self._VALUES[text]


def _define_plan(name: str, default: str, help: str) -> None:
    flags.DEFINE_flag(
        flags.Flag(_PlanParser(), None, name, default, help, boolean=True)
    )  # stands without a value


def _text(group, name, default, help):
    _define(group, flags.DEFINE_string, name, default, help)


def _names(group, name, default, help):
    _define(group, flags.DEFINE_list, name, default, help)


def _default_attacks() -> list[str]:
    return [attack.name for attack in catalog.ATTACKS if attack.is_default]


def _parameter(group: str, parameter: catalog.Parameter) -> None:
    """The flag of an attack's parameter. The entries of a list are read by the command."""
    name, help = parameter.flag_name, parameter.help
    if parameter.swept:
        defaults = list(map(values.written, parameter.defaults))
        _names(group, name, defaults, f"{help}; {MULTI}")
    elif parameter.kind is bool:
        _switch(group, name, parameter.default, help)
    elif parameter.kind is int:
        _count(group, name, parameter.default, help)
    elif parameter.kind is float:
        _number(group, name, parameter.default, help)
    else:
        _text(group, name, parameter.default, help)


def _number(group, name, default, help):
    _define(group, flags.DEFINE_float, name, default, help)


def _count(group, name, default, help, lower_bound=1, upper_bound=None):
    _define(
        group,
        flags.DEFINE_integer,
        name,
        default,
        help,
        lower_bound=lower_bound,
        upper_bound=upper_bound,
    )


def _switch(group, name, default, help):
    _define(group, flags.DEFINE_boolean, name, default, help)


def _define(group, kind, name, default, help, **limits):
    kind(name, default, help, **limits)
    GROUPS.setdefault(group, []).append(name)
