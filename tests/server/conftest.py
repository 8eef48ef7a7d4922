"""One page of the default model for the tests of a module."""

import pytest

from torchmoji import MojiPipeline
from torchmoji.server import demo


@pytest.fixture(scope="session")
def pipeline():
    return MojiPipeline.from_pretrained(backend="onnx")


@pytest.fixture(scope="module")
def address(pipeline):
    with demo.served(pipeline) as found:
        yield found
