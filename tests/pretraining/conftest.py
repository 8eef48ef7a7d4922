"""What the tests of pretraining share."""

import pytest
import torch
from support.pretraining import SETTINGS, changed
from support.small_corpus import small_corpus

from torchmoji.pretraining.pretraining import train


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    """As in the programs that are started: sums over several threads could be rounded in another way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A step of 8 texts leaves an odd number for the last one of a pass; texts have one or two labels."""
    corpus = small_corpus(tmp_path_factory.mktemp("small"), count=120, validation=0.15)
    assert len(corpus.rows("train")) % 8 % 2 == 1
    return corpus


@pytest.fixture(scope="package")
def trained(_one_thread, corpus, tmp_path_factory):
    """A run of `SETTINGS` that was never interrupted."""
    return train(corpus, tmp_path_factory.mktemp("run"), SETTINGS)


@pytest.fixture(scope="package")
def averaged(_one_thread, corpus, tmp_path_factory):
    """The same with an average of the weights."""
    return train(corpus, tmp_path_factory.mktemp("averaged"), changed(average=0.9))
