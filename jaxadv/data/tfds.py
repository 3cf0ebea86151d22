"""Opens TensorFlow Datasets without TensorFlow, if they are stored as array_record files.

tfds.data_source would create the builder, download and prepare the data, and open it. Here the
second step is missing, so that nothing is downloaded by surprise: users prepare the data
themselves. Pictures come as stored bytes, and are decoded as those of a folder.
"""

import os
import re

import numpy as np

from jaxadv.data import pictures, validation, wordnet
from jaxadv.data.source import Source, fingerprint
from jaxadv.support import places
from model_ports.errors import InputError, said, unknown

USUAL_SPLITS = ("validation", "test")


def open_tfds(what: str, *, name: str) -> Source:
    """Open a prepared data set as a source. This reads every record once, for labels and names.

    Args:
        what: NAME[/CONFIG][:VERSION][/SPLIT], or the folder of a prepared version with [/SPLIT].
            Without a split, "validation" is taken, or else "test".
        name: what messages and the manifest call the source.

    Raises:
        InputError: if a package is missing, or if the data set is not prepared or not usable.
    """
    try:
        import array_record  # noqa: F401  tfds would import it later, with a less clear error
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(
            f"data {name!r}: {error.name} is not installed; run: pip install 'jaxadv[tfds]'"
        ) from error
    builder, split = _builder(tfds, what, name)
    known = list(builder.info.splits)
    if not known:
        raise InputError(
            f"data {name!r}: {builder.info.full_name} is not prepared in {builder.data_path}; "
            f"{_remedy(builder.info.name)}"
        )
    split = split or next((usual for usual in USUAL_SPLITS if usual in known), None)
    if split is None or re.split(r"[\[+]", split)[0] not in known:
        raise unknown("split", split or "validation", known)
    features = builder.info.features
    if not {"image", "label"} <= set(features):
        raise InputError(
            f"data {name!r}: its records have {', '.join(features)}; image and label are needed: "
            "choose another data set"
        )
    try:
        records = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
        facts = [_facts(records[index], index) for index in range(len(records))]
    except Exception as error:  # tfds and array_record raise many kinds of exceptions
        reason = said(error)
        raise InputError(
            f"data {name!r}: its records cannot be read ({reason}); {_remedy(builder.info.name)}"
        ) from error
    label = features["label"]
    names = getattr(label, "names", None)
    if not names:
        raise InputError(
            f"data {name!r}: its labels are no classes ({type(label).__name__}); choose another "
            "data set"
        )
    return _source(records, facts, names, f"{builder.info.full_name}/{split}", name)


def _facts(record: dict, index: int) -> tuple[str, int, int]:
    """The name, the label and the size in bytes of a picture."""
    name = record["file_name"].decode() if "file_name" in record else f"record {index}"
    return name, int(record["label"]), len(record["image"])


def _builder(tfds, what: str, name: str):
    """The builder, and the split if ``what`` ends in one."""
    path = places.place("--data", what)
    try:
        for folder, split in ((path, None), (path.parent, path.name)):
            if (folder / "dataset_info.json").is_file():
                return tfds.builder_from_directory(os.fspath(folder)), split
        head, slash, last = what.rpartition("/")
        return tfds.builder(
            head if slash else what, file_format="array_record"
        ), last if slash else None
    except Exception as error:
        reason = said(error)
        raise InputError(
            f"data {name!r}: {reason}; give tfds:NAME/SPLIT, or the folder of a prepared "
            f"version; {_remedy('NAME')}"
        ) from error


def _remedy(data_set: str) -> str:
    return (
        f"prepare it by: tfds build {data_set} --file_format=array_record (TFDS_DATA_DIR names the "
        "folder)"
    )


def _source(
    records, facts: list[tuple[str, int, int]], class_names: list[str], full_name: str, name: str
) -> Source:
    files = [file for file, _, _ in facts]
    labels = np.array([label for _, label, _ in facts], np.int32)
    if not len(labels) or labels.min() < 0:
        raise InputError(
            f"data {name!r}: {'unlabelled records' if len(labels) else 'no records'}; choose "
            "another split"
        )
    num_classes = len(class_names)
    if all(wordnet.PATTERN.fullmatch(class_name) for class_name in class_names):
        classes = np.array(
            [wordnet.label(class_name, where=f"data {name!r}") for class_name in class_names],
            np.int32,
        )
        labels = classes[labels]
        num_classes = wordnet.COUNT
    numbers = [validation.number(file) for file in files]
    known = all(numbers)
    ids = np.array(numbers if known else range(len(files)), np.int64)
    if known:
        validation.check(ids, labels, where=f"data {name!r}")
    return Source(
        name=name,
        ids=ids,
        labels=labels,
        names=files,
        num_classes=num_classes,
        fingerprint=fingerprint(full_name, facts),
        draw=lambda index, size, reading: pictures.decode(records[index]["image"], size, reading),
        validation=known,
        content=lambda index: bytes(records[index]["image"]),
    )
