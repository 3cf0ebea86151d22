"""Opens sources by the names that --data takes."""

from jaxadv.data.source import Source
from model_ports.errors import InputError, unknown

FORMS = ("digits", "imagefolder:DIR", "tfds:NAME[/SPLIT]", "npz:FILE")


def open_source(name: str) -> Source:
    """Open a source by its name. Nothing is decoded yet.

    Args:
        name: "digits", "imagefolder:DIR", "tfds:NAME[/SPLIT]" or "npz:FILE".

    Raises:
        InputError: for an unknown form, or data that cannot be read.
    """
    kind, colon, place = name.partition(":")
    known = [form.partition(":")[0] for form in FORMS]
    if kind not in known or (kind == "digits" and colon):
        raise unknown("data", name, FORMS)
    if kind == "digits":
        from jaxadv.data.arrays import open_digits

        return open_digits(name=name)
    if not place:
        raise InputError(f"data {name!r} names no place; give {FORMS[known.index(kind)]}")
    if kind == "imagefolder":
        from jaxadv.data.imagefolder import open_folder

        return open_folder(place, name=name)
    if kind == "npz":
        from jaxadv.data.arrays import open_npz

        return open_npz(place, name=name)
    from jaxadv.data.tfds import open_tfds

    return open_tfds(place, name=name)
