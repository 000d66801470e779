"""Whole-server tests: the program that MEDUSA names (build/medusa without), as it is."""

import itertools

import pytest

from medusa import Servers


@pytest.fixture
def serve(tmp_path):
    """serve(TREE, OPTIONS...) begins a server. At the end each must exit with 0 and without complaint."""
    numbers = itertools.count()

    def new_directory():
        path = tmp_path / f"server{next(numbers)}"
        path.mkdir()
        return path

    servers = Servers(new_directory)
    yield servers
    servers.end()


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory):
    """The same for a server that all tests of a module share."""
    servers = Servers(lambda: tmp_path_factory.mktemp("server"))
    yield servers
    servers.end()
