"""Thousands of images through a whole evaluation: all are attacked, in memory that does not grow
with their number.
"""

import pytest
import readable_pictures


@pytest.mark.slow
def test_memory_is_flat(tmp_path):
    readable_pictures.make(tmp_path / "pictures", 2000)
    most = []
    for count in (600, 2000):  # both fill the lanes with two blocks at a time
        small = ("--parts=attacks", "--block_images=64", "--noprogress")
        held = readable_pictures.evaluate(
            tmp_path / "pictures", count, tmp_path / f"run-{count}", *small
        )
        assert readable_pictures.attacked(tmp_path / f"run-{count}") == count
        most.append(held[-1])
    # MB: the images of 1400 are 69, and their adversarial images as many.
    assert most[1] - most[0] < 40
