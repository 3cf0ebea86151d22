"""What was run on what, from the manifest of a run and its tables."""

import json
from html import escape

from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report.libraries import full_names
from jaxadv.report.sizes import any_of_zoo
from jaxadv.report.views import Views
from jaxadv.support.norms import SCORE_TITLES

_LONG = 20_000  # characters: such an entry of the manifest is left to its file


def in_brief(views: Views) -> str:
    """The attacks, the data and the date of a run in one line; "" where neither rows nor manifest
    tell.
    """
    made, settings = views.made, views.manifest.get("settings")
    attacks = [catalog.title(str(name)) for name in dict.fromkeys(made.robustness["attack"])]
    attacks += ["CLEVER"] * bool(len(made.clever)) + ["transfer"] * bool(len(made.transfer))
    data = settings.get("data") if isinstance(settings, dict) else None
    text = " · ".join(attacks) + (f" on {_text(data)}" if data and attacks else "")
    date = views.manifest.get("date")
    return f"{text} · {date}" if text and isinstance(date, str) else text


def what_was_run(views: Views) -> str:
    """The run in a short table; all else that the manifest says unfolds."""
    # Without the list of its files, which the page is in: a page that is made again is the same.
    manifest = {name: value for name, value in views.manifest.items() if name != "files"}
    own, bounds = views.made.robustness, views.made.clever
    settings = manifest.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    rows = [("models", ", ".join(views.models))]
    full = [f"{name} = {text}" for name, text in full_names(manifest).items()]
    rows += [("of other libraries", ", ".join(full))] if full else []
    chosen = (
        (name, settings.get(name))
        for name in ("zoo", "data", "num_images", "attacked_images", "seed")
        if name != "zoo" or any_of_zoo(views.models)
    )
    rows += [(name, _text(value)) for name, value in chosen if value is not None]
    for name, of_attack in own.groupby("attack", sort=False):
        attack, kinds = str(name), {}
        for kind, setting in (
            of_attack[["target_kind", "setting"]].drop_duplicates().itertuples(index=False)
        ):
            kinds.setdefault(kind, []).append(setting or "default")
        rows.append((catalog.title(attack), _per_kind(kinds) + _prefixed(settings, attack)))
    if len(bounds):
        kinds = {kind: [] for kind in bounds["target_kind"]}
        for kind, norm in bounds[["target_kind", "norm"]].drop_duplicates().itertuples(index=False):
            kinds[kind].append(SCORE_TITLES.get(norm, norm))
        rows.append(("CLEVER", _per_kind(kinds) + _prefixed(settings, "clever")))
    rows += [
        (name, _text(value))
        for name, value in manifest.items()
        if value not in ({}, []) and name != "models" and not _is_deep(value)
    ]
    if isinstance(versions := manifest.get("versions"), dict):
        rows.append(
            ("versions", ", ".join(f"{name} {_text(one)}" for name, one in versions.items()))
        )
    cells = "".join(
        f'<tr><th scope="row">{escape(name.replace("_", " "))}</th><td>{escape(text)}</td></tr>'
        for name, text in rows
    )
    everything = {
        name: value if len(json.dumps(value)) < _LONG else "see manifest.json"
        for name, value in manifest.items()
    }
    everything = escape(json.dumps(everything, indent=2, ensure_ascii=False))
    unfold = (
        '<details><summary>Every setting (manifest.json)</summary><pre class="scroll" '
        f'tabindex="0">{everything}</pre></details>'
    )
    return f'<table class="about"><tbody>{cells}</tbody></table>{unfold if manifest else ""}'


def _per_kind(kinds: dict[str, list[str]]) -> str:
    """What was done for each kind of target, kinds with the same together."""
    together = {}
    for kind, done in kinds.items():
        together.setdefault("; ".join(done), []).append(KINDS.get(kind, kind))
    return " · ".join(f"{done} ({', '.join(names)})" for done, names in together.items())


def _prefixed(settings: dict, prefix: str) -> str:
    told = of_attack(settings, prefix)
    return f" · {told}" if told else ""


def of_attack(settings: dict, attack: str) -> str:
    """The settings of one attack, or of "clever", that no label names: those with one value."""
    values = (
        settings.get("clever")
        if attack == "clever"
        else (settings.get("attacks") or {}).get(attack)
    )
    if not isinstance(values, dict):
        return ""
    entry = catalog.find(attack)
    named = {one.name for one in entry.parameters if one.label != "swept"} if entry else set()
    single = {
        name: value[0] if isinstance(value, list) else value
        for name, value in values.items()
        if name not in named
        and value is not None
        and not (isinstance(value, list) and len(value) != 1)
    }
    return ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in single.items())


def _is_deep(value) -> bool:
    """Whether a value of the manifest is too much for a line."""
    if isinstance(value, dict):
        return len(value) > 8 or any(isinstance(item, (dict, list)) for item in value.values())
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)


def _text(value) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
