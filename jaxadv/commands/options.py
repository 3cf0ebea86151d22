"""Defines every flag of the command line, in groups.

The commands check names and ranges.
"""

from functools import partial

from absl import flags

from jaxadv.attacks import catalog
from jaxadv.foreign.forms import FORMS as FOREIGN
from jaxadv.support import values

MULTI = "a comma-separated list makes a sweep"
GROUPS: dict[str, list[str]] = {}
"""The names of the flags in each group, in order."""
EVERYWHERE = ("progress", "compilation_cache", "small", "at_full_size", "seed")
MOST = 2**31 - 1
"""The largest seed."""
PLACES = ("out", "weights_dir", "data_cache", "compilation_cache", "source", "images", "save")
PLACES += ("study", "to")
"""Flags whose value is a file or a folder. In --data and --model_module the place follows a colon."""
_NOT_OF_EVALUATE = ("bench", "fetch", "convert, validate, predict and train")
FLAGS_OF: dict[str, tuple[str, ...]] = {
    "report": ("out", "figures"),
    "compare": ("out",),
    "index": (),
    "status": ("out",),
    "fetch": ("to", "only", "models", "source", "sha256", "keep_archives", "keep_graphs"),
    "convert": ("model", "source", "weights_dir", "alexnet_lrn"),
    "validate": (
        *("model", "source", "weights_dir", "alexnet_lrn", "input_size", "images"),
        *("save", "gradient", "float64", "tolerance", "study", "num_images", "lanes", "pretrained"),
    ),
    "predict": (
        *("model", "zoo", "weights_dir", "alexnet_lrn", "input_size", "images"),
        *("save", "gradient", "float64"),
    ),
    "train": ("models", "out", "epochs"),
    "bench": (
        *("zoo", "models", "weights_dir", "random_weights", "lanes", "precision"),
        *("bench_steps", "bench_turns", "bench_threads", "peers", "out"),
    ),
    "list": ("zoo", "weights_dir", "study"),
}
"""The flags of each command, in addition to `EVERYWHERE`. evaluate takes all groups but those of
other commands."""


def allowed(command: str) -> set[str]:
    """The names of the flags that a command accepts."""
    if command in FLAGS_OF:
        return {*FLAGS_OF[command], *EVERYWHERE}
    return {
        name for group, names in GROUPS.items() if group not in _NOT_OF_EVALUATE for name in names
    }


def known() -> list[str]:
    """The names of all flags."""
    return [name for names in GROUPS.values() for name in names]


# A table with one flag per line.
# fmt: off
def define() -> None:
    """Define all flags. Call it once per process."""
    what = "What to evaluate"
    _text(what, "zoo", "digits", "digits: the embedded, trained small networks; imagenet: full size, with --weights_dir")
    _names(what, "models", ["all"], "networks of the zoo, or all, or none; also " + ", ".join(FOREIGN))
    _switch(what, "pretrained", True, "give networks of other libraries their trained weights; random ones if not")
    _names(what, "model_module", None, "FILE.py:FUNCTION; the function returns a Classifier or a list of them, evaluated with --models")
    _names(what, "input_size", None, "evaluate: NAME=PIXELS, to run a network at another size; predict, validate: PIXELS")
    _names(what, "ensembles", None, "A+B+C,D+E: attack each of these groups as one network, and show the images to all other networks")
    _text(what, "weights_dir", None, "folder with a converted folder, or an .npz of original names, for each network; convert writes here")
    _text(what, "data", "digits", "digits (the embedded test digits), imagefolder:DIR, tfds:NAME[/SPLIT], parquet:PLACE or npz:FILE")
    _text(what, "selection", "first", "which images: first, random, study, clever100, common (all networks are right), or robustbench")
    _count(what, "study_seed", 1215, "seed of the study's shuffle: 1215 (its README) or 1216 (its code)", lower_bound=0, upper_bound=MOST)
    _text(what, "study", None, "folder that fetch filled; stands for --zoo=imagenet, --data and --weights_dir")
    _count(what, "num_images", None, "number of selected images to classify; all if not given")
    _text(what, "preprocessing", "study", "study (shorter side by Lanczos, no margin) or resize-256-crop (bilinear, 256/224)")
    _text(what, "not_rgb", "drop", "pictures that are not RGB: drop, as the study did, or convert")
    _text(what, "data_cache", None, "folder for decoded pictures, so that each is decoded once per size")
    _count(what, "data_threads", None, "threads that decode pictures; one per processor if not given")
    _count(what, "attacked_images", None, "number of images to attack: the first that a network classifies correctly; all if not given")
    _names(what, "parts", ["attacks", "transfer", "clever", "report"], "some of attacks, transfer, clever, report")
    default_attacks = [attack.name for attack in catalog.ATTACKS if attack.is_default]
    _names(what, "attacks", default_attacks, f"some of {', '.join(catalog.names())}")
    _names(what, "targets", ["untargeted", "random"], "some of untargeted, random, least, top2")
    for attack in (*catalog.names(), "clever"):
        _names(what, f"{attack}_targets", None, f"targets of {attack}, if they differ from --targets")

    for attack in catalog.ATTACKS:
        for parameter in attack.parameters:
            if parameter.flag_name not in GROUPS.get(attack.group, []):
                _parameter(attack.group, parameter)

    clever = "CLEVER"
    _count(clever, "clever_images", None, "number of images to score: the first that a network classifies correctly; all if not given")
    _count(clever, "clever_batches", 500, "Nb: batches whose maxima are fitted")
    _count(clever, "clever_samples", 1024, "Ns: samples in a batch")
    _text(clever, "clever_protocol", "released", "sampling protocol: released, or paper")
    _text(clever, "clever_method", "released", "method of the fit: released, mle or max")
    _number(clever, "clever_radius", None, "radius of the samples, in pixel units; the protocol's default if not given")

    how = "How to run"
    _text(how, "out", None, "folder for the results; if not given results/embedded for the embedded job, else results/<time>")
    _names(how, "figures", None, "patterns of the figures to draw, such as transfer_*; if not given, report: the run's; evaluate: all")
    _count(how, "small", None, "start from flags/embedded.flags with this many attacked_images, unless --data or --weights_dir is given")
    _define(flags.DEFINE_multi_string, how, "at_full_size", None, "NAME=VALUE: a base setting if --data or --weights_dir is given")
    _switch(how, "overwrite", False, "replace the run that --out already holds; without it, the same command continues that run")
    _switch(how, "any_machine", False, "continue a run that another kind of machine began; its rows may differ by rounding")
    _define(_define_plan, how, "dry_run", "", "print the evaluations and the disk that a run takes, and do nothing; =measure: also the time")
    _switch(how, "save_adversarial", False, "keep all adversarial images, as Zarr arrays in adversarial/")
    _text(how, "save_dtype", "float32", "their type: float32, without loss, or float16, which takes half as much disk")
    _number(how, "save_seconds", 60.0, "seconds between saves of unfinished attacks and scores; a kill loses no more than this")
    _count(how, "lanes", None, "images side by side on the device; if not given 32 on a CPU, 256 elsewhere, or what memory allows")
    _text(how, "precision", "highest", "of gradients: highest, high, default, bfloat16, or auto: the fastest that attacks bear")
    _switch(how, "fast_layers", True, "the project's own convolutions and pools in networks that are not of the zoo, on a CPU")
    _count(how, "block_images", 256, "attacked images in memory at a time, and in a part of the rows")
    _count(how, "at_once", None, "networks that run at the same time; if not given 2 on a CPU, 1 on an accelerator")
    _count(how, "seed", 1215, "seed of random targets, of CLEVER's samples, and of training", lower_bound=0, upper_bound=MOST)
    _text(how, "compilation_cache", "~/.cache/jaxadv", "folder for compiled programs, so that each is compiled once; empty for none")
    _switch(how, "progress", True, "show progress on standard error")

    hosts = "Several processes, on one machine or many, with one --out that all of them see"
    _switch(hosts, "join", False, "work on the run in --out together with all processes of this command, which may start and end at any time")
    _number(hosts, "claim_seconds", 90.0, "others take over the work of a process that gave no sign of life for so many seconds")
    _text(hosts, "ray", None, "run one such process on each device of a Ray cluster; its address, or auto")

    bench = "bench"
    _switch(bench, "random_weights", False, "give the networks random weights, which need no file")
    _count(bench, "bench_steps", 16, "evaluations of an attack, at least 4")
    _count(bench, "bench_turns", 5, "number of repetitions of every measurement")
    _count(bench, "bench_threads", None, "threads of JAX and PyTorch with --peers; all if not given")
    _names(bench, "peers", None, "small networks (--models) here and in pytorch, foolbox, foolbox_jax, torchattacks, art, adv_lib")

    fetch = "fetch"
    _text(fetch, "to", None, "folder to fill with weights/NAME, pictures and fetched.json")
    _text(fetch, "only", None, "fetch study: weights or pictures alone")
    _names(fetch, "sha256", None, "SHA-256 of archives that you trust, in addition to the recorded ones")
    _switch(fetch, "keep_archives", False, "keep the archives in TO/archives")
    _switch(fetch, "keep_graphs", False, "fetch study: keep each network's frozen graph in TO/graphs")

    other = "convert, validate, predict and train"
    _text(other, "model", None, "convert, validate, predict: name of the network; validate also takes timm:NAME and the like")
    _text(other, "source", None, ".pb, prefix of a checkpoint (validate: with its .meta), .h5, .keras, .pth, .safetensors; "
          "convert: .npz too; fetch: a folder that has the archives, local or at https://")
    _text(other, "alexnet_lrn", None, "variant of full-size AlexNet, whose normalisation changed: 2017-08, 2018-05 or 2018-08")
    _text(other, "images", None, "predict, validate: .npy of images (N, S, S, 3) in [0, 1]; if not given, validate uses two test images")
    _text(other, "save", None, "predict: .npz to write, with logits, raw_logits and, with --gradient, gradient; validate: .csv, .md or .json")
    _names(other, "gradient", None, "predict, validate: A,B for the gradient of raw logit A minus raw logit B")
    _switch(other, "float64", False, "predict, validate: evaluate the whole network in double precision")
    _number(other, "tolerance", None, "validate: allowed relative difference of logits; 1e-5 (MobileNets, Keras's VGG 5e-5), float64 1e-7")
    _count(other, "epochs", None, "train: passes over the training pictures; the recipe's number if not given")
# fmt: on


class _PlanParser(flags.ArgumentParser[str]):
    """Parses a switch that may also have the value "measure"."""

    syntactic_help = "true, false or measure"
    _VALUES = {"true": "count", "count": "count", "measure": "measure", "false": "", "": ""}

    def parse(self, argument: str | bool) -> str:
        text = str(argument).lower()
        if text not in self._VALUES:
            raise ValueError(f"{argument!r} is not allowed; give --dry_run, or --dry_run=measure")
        return self._VALUES[text]


def _define_plan(name: str, default: str, help: str) -> None:
    # boolean=True: the flag may stand without a value
    flags.DEFINE_flag(flags.Flag(_PlanParser(), None, name, default, help, boolean=True))


def _parameter(group: str, parameter: catalog.Parameter) -> None:
    """Define the flag of an attack's parameter. The command checks the entries of a list."""
    name = parameter.flag_name
    help = parameter.help
    if parameter.swept:
        defaults = list(map(values.written, parameter.defaults))
        _names(group, name, defaults, f"{help}; {MULTI}")
    else:
        define = {bool: _switch, int: _count, float: _number}.get(parameter.kind, _text)
        define(group, name, parameter.default, help)


def _define(kind, group, name, default, help, **limits):
    kind(name, default, help, **limits)
    GROUPS.setdefault(group, []).append(name)


_text = partial(_define, flags.DEFINE_string)
_names = partial(_define, flags.DEFINE_list)
_number = partial(_define, flags.DEFINE_float)
_count = partial(_define, flags.DEFINE_integer, lower_bound=1)
_switch = partial(_define, flags.DEFINE_boolean)
