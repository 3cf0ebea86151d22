"""A TensorFlow checkpoint in which any bit changed is refused, in one line, or says the same as
before.
"""

import random

import numpy as np
import pytest
import writers

from model_ports.convert import tf_checkpoint
from model_ports.errors import InputError

ARRAYS = {
    f"net/layer_{number}/{kind}": np.random.default_rng(number)
    .normal(size=shape)
    .astype(np.float32)
    for number in range(9)
    for kind, shape in (("weights", (3, 3, 2, 4)), ("biases", (4,)))
}


@pytest.mark.parametrize("count", [300, pytest.param(4000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("which", [0, 1])
def test_no_bit_changes_without_a_word(tmp_path, which, count):
    prefix = tmp_path / "model.ckpt"
    files = [tmp_path / f"{prefix.name}{ending}" for ending in (".index", ".data-00000-of-00001")]
    for file, content in zip(files, writers.bundle(ARRAYS), strict=True):
        file.write_bytes(content)
    whole, chance, refused = files[which].read_bytes(), random.Random(which), 0
    for place in chance.sample(range(8 * len(whole)), min(count, 8 * len(whole))):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        files[which].write_bytes(changed)
        try:
            arrays = tf_checkpoint.read(prefix)
        except InputError as error:
            assert "\n" not in str(error)
            refused += 1
        else:  # the padding of the footer
            assert arrays.keys() == ARRAYS.keys() and all(
                np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS
            )
    assert refused > 0.9 * min(count, 8 * len(whole))


def test_what_is_wrong_is_named(tmp_path):
    index, data = writers.bundle(ARRAYS)
    (tmp_path / "model.ckpt.index").write_bytes(index)
    (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(
        InputError, match="damaged or cut short .the checksum of net/layer_0/biases is wrong"
    ):
        tf_checkpoint.read(tmp_path / "model.ckpt")


def test_the_checksum_is_that_of_the_standard():
    """RFC 3720, B.4: 32 zeros have the CRC-32C 8a9136aa; LevelDB then turns it and adds a
    constant.
    """
    turned = ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert (
        tf_checkpoint._checksum(memoryview(bytes(32)))
        == turned.to_bytes(4, "little")
        == writers.masked(bytes(32))
    )
