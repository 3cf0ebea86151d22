"""What the settings of an evaluation allow, what they stand for, and what of them rows depend on."""

import math
from dataclasses import replace

import pytest

import jaxadv
from jaxadv.evaluation.settings import CleverSettings, Settings, names, sweep
from model_ports.errors import InputError

FGSM = jaxadv.FGSM(eps=0.1)
FAB = jaxadv.FAB(eps=0.1)  # has no targeted form


def test_what_is_not_given_is_as_the_study_had_it():
    usual = Settings()
    assert (usual.seed, usual.study_seed) == (1215, 1215)
    assert usual.targets == ("untargeted", "random") and usual.selection == "first"
    assert usual.block_images == 256 and usual.save_seconds == 60
    assert usual.precision == "highest" and usual.fast_layers and usual.progress
    assert not usual.save_adversarial and usual.save_dtype == "float32"
    clever = usual.clever
    assert (clever.batches, clever.samples, clever.protocol) == (500, 1024, "released")
    assert clever.images is None and clever.radius is None
    usual.check()


@pytest.mark.parametrize(
    "change",
    [
        {"save_seconds": 0},
        {"seed": 0},
        {"study_seed": 0},
        {"lanes": 1, "at_once": 1, "data_threads": 1, "num_images": 1, "attacked_images": 1},
        {"block_images": 1},
        {"fast_layers": False},
        {"fast_layers": True},
        {"precision": "auto"},
        {"clever": CleverSettings(batches=2, samples=1, images=1)},
        {"clever": CleverSettings(radius=0.001)},
        {"attack_targets": {"clever": ("top2",)}},
        {"parts": ("report",), "attacks": ()},
        {"parts": ("attacks", "transfer")},
        {"parts": ("attacks",), "clever": CleverSettings(batches=0)},
        {"parts": ("clever",), "attacks": (FAB,), "targets": ("random",)},
        {"attacks": (FAB,), "targets": ("untargeted", "random")},
        {
            "attacks": (FAB, FGSM),
            "targets": ("random",),
            "attack_targets": {"fab": ("untargeted",)},
        },
        {"attacks": (FGSM,), "targets": ("random",), "attack_targets": {"fgsm": ("least",)}},
    ],
)
def test_what_is_allowed(change):
    Settings(**change).check()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": -1}, "^seed is -1"),
        ({"study_seed": -1}, "^study_seed is -1"),
        ({"save_seconds": -0.5}, "^save_seconds is -0.5"),
        ({"block_images": 0}, "^block_images is 0"),
        ({"num_images": 0}, "^num_images is 0"),
        ({"fast_layers": 2}, "^fast_layers is 2"),
        ({"clever": CleverSettings(radius=0.0)}, "^radius is 0"),
        ({"clever": CleverSettings(images=0)}, "^clever_images is 0"),
        ({"parts": ("clever", "transfer")}, "transfer without attacks"),
        ({"attack_targets": {"clever": ("leats",)}}, "unknown clever target 'leats'"),
        ({"attacks": (FAB,), "targets": ("random",)}, "--fab_targets=untargeted"),
        (
            {"attacks": (FAB,), "attack_targets": {"fab": ("untargeted", "least")}},
            "targets of fab are untargeted,least",
        ),
    ],
)
def test_what_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        Settings(**change).check()


def test_a_list_of_names_has_each_once_and_is_not_empty():
    assert names("parts", [" b", "a", "b ", ""], ["a", "b", "c"]) == ["b", "a"]
    for nothing in (None, [], ["", " "]):
        with pytest.raises(InputError, match="^--parts is empty; give at least one of a, b"):
            names("parts", nothing, ["a", "b"])
    with pytest.raises(InputError, match="unknown part 'd'"):
        names("parts", ["a", "d"], ["a", "b"])


def test_a_sweep_has_every_combination_and_each_value_once():
    found = sweep(["fgsm"], eps=[0.1, 0.2, 0.1], fgsm_norm=["linf", "l2"])
    assert [(probe.eps, float(probe.norm)) for probe in found] == [
        (0.1, math.inf),
        (0.1, 2.0),
        (0.2, math.inf),
        (0.2, 2.0),
    ]
    with pytest.raises(InputError, match="^--eps is empty"):
        sweep(["fgsm"], eps=[])
    with pytest.raises(InputError, match="loss is 'logits'"):
        sweep(["fgsm"], loss=["logits"])


def test_attempts_have_every_kind_of_target_that_an_attack_has():
    """The one without a targeted form has one; an attack's own kinds stand for the common ones."""
    settings = Settings(
        attacks=(FGSM, FAB, jaxadv.IFGSM(eps=0.1), FGSM, jaxadv.FGSM(eps=0.2)),
        targets=("random", "untargeted", "random"),
        attack_targets={"ifgsm": ("least",)},
    )
    found = [(one.attack, one.target_kind, one.label) for one in settings.attempts()]
    assert found == [
        ("fgsm", "random", "eps=0.1"),
        ("fgsm", "random", "eps=0.2"),
        ("fgsm", "untargeted", "eps=0.1"),
        ("fgsm", "untargeted", "eps=0.2"),
        ("fab", "untargeted", found[4][2]),
        ("ifgsm", "least", found[5][2]),
    ]
    assert not replace(settings, parts=("clever", "report")).attempts()


@pytest.mark.parametrize("figures", [None, ("pictures", "law*"), ()])
def test_settings_come_back_from_a_manifest_as_they_were(figures):
    settings = Settings(
        attacks=sweep(["fgsm"], eps=[0.1, 0.2]),
        attack_targets={"fgsm": ("least",)},
        clever=CleverSettings(batches=3),
        figures=figures,
    )
    plain = settings.to_dict()
    assert plain["attacks"]["fgsm"]["eps"] == [0.1, 0.2]
    back = Settings.from_dict(plain)
    assert back == settings and back.figures == figures


def test_settings_that_are_all_combinations_are_named_by_flag_and_others_are_listed():
    whole = Settings(attacks=sweep(["ifgsm"], eps=[0.1, 0.2], steps=[1, 2]))
    some = replace(whole, attacks=whole.attacks[:3])
    identity = whole.identity()
    assert identity["ifgsm --eps"] == [0.1, 0.2] and identity["ifgsm --steps"] == [1, 2]
    assert "ifgsm settings" not in identity
    assert len(some.identity()["ifgsm settings"]) == 3 and "ifgsm --eps" not in some.identity()


def test_the_identity_leaves_out_what_changes_no_row():
    usual = Settings(attacks=(FGSM,))
    others = {
        "parts": ("attacks",),
        "figures": ("law",),
        "save_adversarial": True,
        "save_dtype": "float16",
        "save_seconds": 1.0,
        "at_once": 2,
        "progress": False,
        "data_cache": "there",
        "data_threads": 3,
    }
    assert replace(usual, **others).identity() == usual.identity()
    found = usual.identity()
    assert found["--attacks"] == ["fgsm"] and found["--seed"] == 1215 and found["--lanes"] is None
    assert found["--clever_batches"] == 500 and found["fgsm --eps"] == [0.1]


def test_what_rows_depend_on_is_told_by_kind():
    """Clean rows depend on all the rest."""
    settings = Settings(attacks=(FGSM,), attack_targets={"fgsm": ("least",), "clever": ("top2",)})
    attempted = ("examples", "adversarial", "transfer")
    found = settings.depends()
    of_attacks = {"--attacks", "fgsm --eps", "fgsm --fgsm_norm", "fgsm --loss", "--fgsm_targets"}
    both = {"--targets", "--attacked_images", "--precision"}
    of_clever = {name for name in settings.identity() if name.startswith("--clever_")}
    assert "--clever_targets" in of_clever and len(of_clever) == 7
    assert {name for name, kinds in found.items() if kinds == attempted} == of_attacks
    assert {name for name, kinds in found.items() if kinds == (*attempted, "clever")} == both
    assert {name for name, kinds in found.items() if kinds == ("clever",)} == of_clever
    assert len(found) == len(of_attacks | both | of_clever)
