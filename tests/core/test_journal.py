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
    now[0] += 6
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
