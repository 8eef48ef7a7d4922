"""What the tests of pretraining share."""

import pytest
from support.pretraining import SETTINGS
from support.small_corpus import small_corpus

from torchmoji.pretraining.pretraining import train


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A step of 8 texts leaves an odd number for the last one of a pass; texts have one or two labels."""
    corpus = small_corpus(tmp_path_factory.mktemp("small"), count=120, validation=0.15)
    assert len(corpus.rows("train")) % 8 % 2 == 1
    return corpus


@pytest.fixture(scope="session")
def trained(corpus, tmp_path_factory):
    """A run of `SETTINGS` that was never interrupted."""
    return train(corpus, tmp_path_factory.mktemp("run"), SETTINGS)
