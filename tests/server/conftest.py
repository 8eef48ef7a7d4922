"""One page of the default model for all tests of the server."""

import pytest

from torchmoji import MojiPipeline
from torchmoji.server import demo


@pytest.fixture(scope="session")
def pipeline():
    return MojiPipeline.from_pretrained(backend="onnx")


@pytest.fixture(scope="session")
def address(pipeline):
    with demo.served(pipeline) as found:
        yield found
