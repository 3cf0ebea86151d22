"""What tests of downloads share."""

import contextlib
import resource

import file_server
import pytest
from made_archives import NUMBERS, SMALLEST, graphs, packed, photographs
from small_study import recorded

from jaxadv.fetching import addresses, transfer
from model_ports.errors import InputError


@pytest.fixture
def serve():
    """Start a server for some files; it ends with the test."""
    begun = []

    def start(**files: bytes) -> file_server.Server:
        context = file_server.serving(
            {name.replace("__", "."): data for name, data in files.items()}
        )
        begun.append(context)
        return context.__enter__()

    yield start
    for context in begun:
        context.__exit__(None, None, None)


@pytest.fixture
def impatient(monkeypatch):
    """New attempts come at once."""
    monkeypatch.setattr(transfer, "WAITS", (0, 0, 0))


@pytest.fixture
def refusal():
    """Call something that must refuse in one line with all these words, and return the line."""

    def refuse(call, *words: str) -> str:
        with pytest.raises(InputError) as caught:
            call()
        line = str(caught.value)
        assert "\n" not in line
        for word in words:
            assert word in line, line
        return line

    return refuse


@pytest.fixture
def file_size_limit():
    """Within it, the system refuses to write more bytes to a file, as a full disk does."""

    @contextlib.contextmanager
    def limited(size: int):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


@pytest.fixture(scope="session")
def archives() -> dict[str, bytes]:
    """The study's two, with three networks and twelve pictures."""
    return {
        "weights.tar.gz": packed([*graphs(SMALLEST), ("labels.txt", b"0:background\n")]),
        "img.tar.gz": packed(photographs()),
    }


@pytest.fixture
def published(serve, archives, monkeypatch):
    """A server that has both archives, recorded as the study's."""
    server = serve(**{name.replace(".", "__"): data for name, data in archives.items()})
    for part, archive in recorded(server, archives).items():
        monkeypatch.setitem(addresses.STUDY, part, archive)
    monkeypatch.setattr(addresses, "PICTURES", len(NUMBERS))
    return server
