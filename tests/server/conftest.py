"""One server of the default model for all tests of the server, and applications asked within the process."""

import contextlib

import pytest
from starlette.testclient import TestClient

from torchmoji import MojiPipeline
from torchmoji.server import create_app, served


@pytest.fixture(scope="session")
def pipeline():
    return MojiPipeline.from_pretrained(backend="onnx")


@pytest.fixture(scope="session")
def address(pipeline):
    with served(pipeline) as found:
        yield found


@pytest.fixture(scope="session")
def client(pipeline):
    with TestClient(create_app(pipeline), base_url="http://localhost") as found:
        yield found


@pytest.fixture
def client_of():
    """Asks an application of a pipeline, with settings."""
    with contextlib.ExitStack() as stack:

        def open_client(pipeline, settings=None):
            app = create_app(pipeline, settings)
            client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
            return stack.enter_context(client)

        yield open_client
