"""`fetch study` against a server on this machine, with small networks of rules and few pictures."""

import json
import random
import shutil

import killed
import numpy as np
import pytest
from made_archives import NUMBERS, SMALLEST, graphs, packed, photographs, picture_name
from small_study import order, recorded, whole

from jaxadv.fetching import addresses, study, transfer
from jaxadv.fetching.addresses import GRAPHS


def test_one_call_brings_all_and_the_next_one_nothing(published, tmp_path):
    said, made = [], []
    three = order(tmp_path, models=SMALLEST)
    done = study.fetch(three, made=lambda name, meta: made.append(name), say=said.append)
    whole(tmp_path, SMALLEST)
    assert done.networks == SMALLEST and done.pictures and made == list(SMALLEST)
    assert "3 networks and 50,000 pictures are missing" in said[0] and "GB are free" in said[0]
    record = json.loads((tmp_path / "fetched.json").read_text())
    for part, archive in addresses.STUDY.items():
        facts = record["archives"][part]
        assert (facts["from"], facts["bytes"], facts["sha256"]) == archive
        assert facts["sha256_is_recorded"] and facts["at"].endswith("Z")
    asked, before = list(published.asked), (tmp_path / "fetched.json").read_bytes()
    assert asked == [None, None]
    again = study.fetch(three, say=said.append)
    assert not again.networks and not again.pictures and "nothing is missing" in said[1]
    assert published.asked == asked and (tmp_path / "fetched.json").read_bytes() == before


@pytest.mark.few("deep")
@pytest.mark.parametrize("form", ["folder", "dots", "deep", "labels"])
def test_whatever_form_the_archives_have(archives, published, tmp_path, monkeypatch, form):
    """With and without a folder, entries for folders, other files: the same folder in the end."""
    folder = {"folder": "models/", "dots": "./", "deep": "./a/b/", "labels": ""}[form]
    name = SMALLEST[0]
    extra = [("./", b""), (folder + "labels.txt", b"x"), ("._" + GRAPHS[name].member, b"mac")]
    made = {
        "weights.tar.gz": packed([*extra, *graphs([name], folder=folder)]),
        "img.tar.gz": packed([*extra, *photographs(folder=folder)]),
    }
    published.files = made
    for part, archive in recorded(published, made).items():
        monkeypatch.setitem(addresses.STUDY, part, archive)
    study.fetch(order(tmp_path, models=(name,)))
    whole(tmp_path, names=[name])


@pytest.mark.slow
def test_only_one_part_and_only_some_networks(published, tmp_path):
    study.fetch(order(tmp_path / "a", only="pictures"))
    whole(tmp_path / "a", names=())
    study.fetch(order(tmp_path / "b", only="weights", models=SMALLEST[1:2]))
    whole(tmp_path / "b", names=SMALLEST[1:2], numbers=())
    study.fetch(order(tmp_path / "b", models=SMALLEST[:2]))
    whole(tmp_path / "b", names=SMALLEST[:2])


@pytest.mark.slow
def test_what_was_removed_is_brought_again(published, tmp_path):
    two = order(tmp_path, models=SMALLEST[:2])
    study.fetch(two)
    shutil.rmtree(tmp_path / "weights" / SMALLEST[1])
    (tmp_path / "pictures" / picture_name(NUMBERS[3])).unlink()
    (tmp_path / "fetched.json").unlink()
    done = study.fetch(two)
    assert done.networks == SMALLEST[1:2] and done.pictures
    whole(tmp_path, SMALLEST[:2])


@pytest.mark.slow
def test_archives_and_graphs_are_kept_where_asked(archives, published, tmp_path):
    study.fetch(order(tmp_path, keep_archives=True, keep_graphs=True))
    kept = {path.name: path.read_bytes() for path in (tmp_path / "archives").iterdir()}
    assert kept == archives
    graphs_kept = sorted(path.name for path in (tmp_path / "graphs").iterdir())
    assert graphs_kept == [GRAPHS[SMALLEST[0]].member]
    shutil.rmtree(tmp_path / "weights")
    shutil.rmtree(tmp_path / "graphs")
    study.fetch(order(tmp_path))  # from what was kept
    assert published.asked == [None, None]
    shutil.rmtree(tmp_path / "archives")
    whole(tmp_path)
    study.fetch(order(tmp_path, keep_graphs=True))
    assert len(published.asked) == 3 and len(list((tmp_path / "graphs").iterdir())) == 1


def test_a_local_copy_is_read_where_it_is_and_stays(archives, published, tmp_path, refusal):
    copy = tmp_path / "copy"
    copy.mkdir()
    refusal(
        lambda: study.fetch(order(tmp_path / "to", source=str(copy))),
        str(copy), "no file weights.tar.gz",
    )  # fmt: skip
    for name, data in archives.items():
        (copy / name).write_bytes(data)
    study.fetch(order(tmp_path / "to", source=str(copy)))
    whole(tmp_path / "to")
    assert published.asked == []
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == archives


def test_a_mirror_takes_the_place_of_the_addresses(serve, archives, published, tmp_path):
    mirror = serve(**{name.replace(".", "__"): data for name, data in archives.items()})
    study.fetch(order(tmp_path, source=mirror.url + "/"))
    whole(tmp_path)
    assert published.asked == [] and mirror.asked == [None, None]


@pytest.mark.slow
def test_twenty_cuts(published, tmp_path, impatient, monkeypatch):
    """Ten in each archive: the folder is the same as without."""
    monkeypatch.setattr(transfer, "BLOCK", 2**14)
    for part, archive in addresses.STUDY.items():
        places = sorted(random.Random(part).sample(range(1, archive.size), 10))
        published.cuts += [*(int(step) for step in np.diff([0, *places])), archive.size]
    study.fetch(order(tmp_path, models=SMALLEST))
    assert len(published.asked) == 22 and not published.cuts
    whole(tmp_path, SMALLEST)


@pytest.mark.long
def test_twenty_kills_one_after_another(published, tmp_path):
    """A killed fetch continues with the same command, at any stage.

    The folder is the same as without a kill.
    """
    context = killed.processes()
    archives = dict(addresses.STUDY)
    job = killed.Job(tmp_path / "to", archives, SMALLEST, len(NUMBERS), 2**16)
    count = killed.in_process(context, job._replace(to=tmp_path / "whole"), None)
    whole(tmp_path / "whole", SMALLEST)
    drawn = random.Random(1215)
    for _ in range(14):
        killed.in_process(context, job, drawn.randint(1, count // 4))
    killed.in_process(context, job._replace(only="weights"), None)
    for _ in range(6):
        killed.in_process(context, job, drawn.randint(3, 25))
    killed.in_process(context, job, None)
    whole(tmp_path / "to", SMALLEST)
