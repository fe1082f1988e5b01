from collections.abc import Iterator

import pytest

from tests.triptych_process import Addresses, TriptychProcess, running_triptych


@pytest.fixture(scope="session")
def triptych_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TriptychProcess]:
    """One Triptych for all tests that leave it as they found it."""
    with running_triptych(tmp_path_factory.mktemp("triptych")) as triptych:
        yield triptych


@pytest.fixture(scope="session")
def triptych(triptych_process: TriptychProcess) -> Addresses:
    return triptych_process.addresses
