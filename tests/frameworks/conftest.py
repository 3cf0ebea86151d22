"""TensorFlow warns of its own old interfaces, which are what these tests are about."""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "frameworks" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"))
