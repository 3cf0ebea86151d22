"""An interrupted queue, continued: the same outcomes to the bit, nothing done twice, and no trust
in a damaged file.
"""

import jax
import numpy as np
import pytest
import recorded

import jaxadv
from jaxadv.api import run_attacks
from jaxadv.clever.sampler import CleverSampler, SampleItem
from jaxadv.core import engine
from jaxadv.core import journal as journal_module
from jaxadv.core.journal import Journal

pytestmark = pytest.mark.usefixtures("strict_numerics")

LANES = 3
ATTACKS = {
    "ifgsm_search": [jaxadv.IFGSM(initial_eps=0.02, attempts=4, steps=4)] * 8,
    "two kinds": [jaxadv.IFGSM(eps=0.05, steps=steps) for steps in (2, 5) for _ in range(4)],
    "cw": [jaxadv.CarliniWagnerL2(steps=20, search_steps=3, learning_rate=0.02, initial_const=0.5)]
    * 8,
    "ead": [jaxadv.ElasticNetL1(steps=20, search_steps=3, initial_const=0.5)] * 8,
}


class Killed(Exception):
    pass


class Impatient(Journal):
    """Writes whenever it is asked, and is killed after so many writings."""

    def __init__(self, directory, *, writings: int):
        super().__init__(directory, "queue", seconds=0)
        self.left = writings

    def due(self, name=""):
        return True

    def write(self, *arguments):
        super().write(*arguments)
        self.left -= 1
        if not self.left:
            raise Killed


def attack(name: str, journal: Journal | None = None):
    known = recorded.net("tiny")
    arguments = known.images[:8], known.targets["random"][:8], np.full(8, True)
    return run_attacks(known.classifier, ATTACKS[name], *arguments, lanes=LANES, journal=journal)


def test_a_quick_write_is_soon_followed_by_another(tmp_path, monkeypatch):
    """After the pause that was asked for, or as much longer as the last write took."""
    now = [1000.0]
    monkeypatch.setattr(journal_module.time, "monotonic", lambda: now[0])
    journal = Journal(tmp_path, "queue", seconds=5)
    assert not journal.due()
    now[0] += 5
    assert not journal.due()
    now[0] += 1
    assert journal.due()
    journal.write()
    now[0] += 4
    assert not journal.due()
    now[0] += 2
    assert journal.due()
    journal.took(1.0)
    assert not journal.due()
    now[0] += journal_module.SHARE
    assert journal.due()


def written(folder, writer: str, *, lane: int) -> Journal:
    """The journal of a writer that has written its lane."""
    journal = Journal(folder, "queue", seconds=0, writer=writer)
    journal.write("a", {"holds": np.array([lane])})
    return journal


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_lanes_replace_those_of_earlier_writers_alone(tmp_path):
    """Those of a writer without a number are the earliest. Of two with one number, both stay."""
    written(tmp_path, "x", lane=9)
    assert files(tmp_path) == ["queue@x+lanes-a.npz"]
    written(tmp_path, "10-b", lane=2)
    first = written(tmp_path, "2-a", lane=1)
    written(tmp_path, "2-c", lane=3)
    assert files(tmp_path) == [f"queue@{one}+lanes-a.npz" for one in ("10-b", "2-a", "2-c")]
    assert first.lanes("a")["holds"] == [2]
    written(tmp_path, "11-a", lane=4)
    assert files(tmp_path) == ["queue@11-a+lanes-a.npz"]
    assert first.lanes("a")["holds"] == [4] and first.lanes("b") == {}


def test_of_lanes_with_one_number_the_own_are_read(tmp_path):
    journals = [written(tmp_path, f"1-{name}", lane=lane) for lane, name in enumerate("abc")]
    assert [int(journal.lanes("a")["holds"][0]) for journal in journals] == [0, 1, 2]


def test_outcomes_of_all_writings_are_kept(tmp_path):
    """The files of a writer are numbered from 0; whoever goes on begins behind the last."""
    for item in range(4):
        journal = Journal(tmp_path, "queue", seconds=0)
        journal.add(item, [np.arange(item), np.float32(item)])
        journal.write()
        journal.add(10 + item, [np.float32(item)])
        journal.write()
        journal.write()  # nothing new
    assert files(tmp_path) == [f"queue@0-+outcomes-{number:05d}.npz" for number in range(8)]
    found = Journal(tmp_path, "queue", seconds=0, writer="1-").outcomes()
    assert sorted(found) == [0, 1, 2, 3, 10, 11, 12, 13]
    assert [len(found[item]) for item in (3, 13)] == [2, 1]
    assert found[3][0].tolist() == [0, 1, 2] and found[3][1] == found[13][0] == 3


def test_outcomes_of_several_shapes_share_a_file(tmp_path):
    journal = Journal(tmp_path, "queue", seconds=0)
    for item in range(4):
        journal.add(item, [np.full(1 + item % 2, item), np.float32(-item)])
    journal.write()
    assert len(files(tmp_path)) == 1
    found = journal.outcomes()
    assert {item: [leaf.tolist() for leaf in leaves] for item, leaves in found.items()} == {
        0: [[0], 0],
        1: [[1, 1], -1],
        2: [[2], -2],
        3: [[3, 3], -3],
    }


def test_a_block_that_ends_well_leaves_no_file(tmp_path):
    with pytest.raises(Killed), written(tmp_path, "0-", lane=0):
        raise Killed
    assert len(files(tmp_path)) == 1
    with written(tmp_path, "1-", lane=0) as journal:
        journal.of_stage(1).write("a", {"holds": np.array([0])})
        assert len(files(tmp_path)) == 2
    assert files(tmp_path) == []


@pytest.mark.few("ifgsm_search", "two kinds")
@pytest.mark.parametrize("name", ATTACKS)
def test_killed_again_and_again(tmp_path, name):
    """A kill every few writings, with the lanes in the middle of their items, until it ends."""
    kills = 0
    while True:
        try:
            result = attack(name, Impatient(tmp_path, writings=5))
            break
        except Killed:
            kills += 1
    assert kills
    jax.tree.map(np.testing.assert_array_equal, result, attack(name))
    Journal(tmp_path, "queue", seconds=1).remove()
    assert list(tmp_path.iterdir()) == []


def test_what_was_done_is_not_done_again(tmp_path, monkeypatch):
    """Of a queue that ended, whose rows were not yet written, no evaluation is repeated."""
    journal = Impatient(tmp_path, writings=10**6)
    first = attack("cw", journal)
    journal.write()
    monkeypatch.setattr(engine, "_evaluate", None)
    again = attack("cw", Journal(tmp_path, "queue", seconds=9))
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_samples_of_clever_are_continued(tmp_path):
    known = recorded.net("tiny")
    probe = CleverSampler(radius=0.5, samples=9)
    items = [
        SampleItem(known.images[0], known.labels[0], np.int32(1), 0, 0, np.int32(batch))
        for batch in range(7)
    ]

    def maxima(journal=None):
        found = dict(engine.run(known.classifier, [probe] * 7, items, lanes=LANES, journal=journal))
        return np.stack([found[batch] for batch in range(7)])

    for _ in range(3):
        with pytest.raises(Killed):
            maxima(Impatient(tmp_path, writings=6))
    np.testing.assert_array_equal(maxima(Impatient(tmp_path, writings=100)), maxima())


@pytest.mark.slow
def test_a_damaged_file_is_work_done_again(tmp_path):
    with pytest.raises(Killed):
        attack("ead", Impatient(tmp_path, writings=60))
    files = sorted(tmp_path.iterdir())
    assert {path.name.partition("+")[2].partition("-")[0] for path in files} == {
        "outcomes",
        "lanes",
    }
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    jax.tree.map(
        np.testing.assert_array_equal,
        attack("ead", Journal(tmp_path, "queue", seconds=9)),
        attack("ead"),
    )


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("jaxadv.core.journal.time.monotonic", lambda: now[0])
    journal = Journal(tmp_path, "queue", seconds=10)
    journal._took = 3  # seconds, of the last writing
    for now[0], due in ((11, False), (59, False), (61, True)):
        assert journal.due() == due
