"""Several devices: the same outcomes as one, to the bit, killed and continued on another number of
them too.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.slow
def test_devices_change_no_bit(tmp_path):
    """In a process with eight, of which one, two or all are used. So many lanes that a processor's
    vectors have no remainder, which rounds otherwise: then a lane is like another.
    """
    variables = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "PYTHONPATH": f"{TESTS.parent}:{TESTS}",
    }
    done = subprocess.run(
        [sys.executable, __file__, tmp_path],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0 and done.stdout == "same\n", done.stdout + done.stderr


def main(folder: Path) -> None:
    import jax
    import numpy as np
    from models import inner_images, random_linear

    import jaxadv
    from jaxadv.api import run_attacks
    from jaxadv.core import classifier, judge
    from jaxadv.core.journal import Journal

    everywhere, used = jax.local_devices(), 8
    classifier.Classifier.devices = property(lambda self: everywhere[:used])
    clf, images = random_linear(3, 4, scale=0.3), inner_images(4, 26)
    attacks = [
        jaxadv.CarliniWagnerL2(
            steps=15, search_steps=2, learning_rate=0.02, initial_const=0.5, confidence=i % 3
        )
        for i in range(26)
    ]
    attacks[::3] = [jaxadv.IFGSM(eps=0.05, steps=2)] * 9
    attacks[1::6] = [jaxadv.APGD(0.05, steps=5)] * 5  # from random starts
    attacks[4::6] = [jaxadv.FAB(norm=2, steps=3, targets=2)] * 4
    attacks[2::6] = [jaxadv.Square(0.05, queries=6)] * 4
    labels = clf.predict(images)

    def outcomes(devices: int, journal: Journal | None = None):
        nonlocal used
        used = devices
        return run_attacks(
            clf, attacks, images, labels, np.zeros(26, bool), lanes=4, journal=journal
        )

    class Impatient(Journal):
        left = 6

        def due(self, name=""):
            return True

        def write(self, *arguments):
            super().write(*arguments)
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    alone = outcomes(1)
    for devices in (2, 8):
        jax.tree.map(np.testing.assert_array_equal, outcomes(devices), alone)
    for devices in (8, 2, 1):
        try:
            outcomes(devices, Impatient(folder, "queue", seconds=0))
            raise AssertionError("it was to be interrupted")
        except KeyboardInterrupt:
            pass
    jax.tree.map(
        np.testing.assert_array_equal, outcomes(2, Journal(folder, "queue", seconds=0)), alone
    )
    judge.AT_ONCE = ("cpu",)  # before the images leave their device
    for devices in (1, 8):
        jax.tree.map(np.testing.assert_array_equal, outcomes(devices), alone)
    print("same")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
