import torch

from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.distributed import BatchDropout, BatchRows, batch_dropout


def dropped(rows, seed=1, step=3, layer=0):
    batch = BatchRows(seed, step, 8, torch.tensor(rows))
    return BatchDropout(0.5, batch, layer)(torch.ones(len(rows), 20))


def test_a_texts_mask_does_not_depend_on_what_is_computed_with_it():
    whole = dropped(list(range(8)))
    parts = torch.cat([dropped([0, 2, 4, 6]), dropped([1, 3, 5, 7])])
    assert torch.equal(whole[[0, 2, 4, 6, 1, 3, 5, 7]], parts)
    assert set(whole.unique().tolist()) == {0.0, 2.0}
    assert 0.3 < (whole == 0).float().mean() < 0.7


def test_masks_differ_by_text_step_layer_and_seed():
    masks = [dropped([0]), dropped([1]), dropped([0], step=4), dropped([0], layer=1), dropped([0], seed=2)]
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == len(masks)


def test_a_model_gets_its_own_dropout_back_and_no_generator_moves():
    model = TorchMoji(3, 20, embedding_dim=4, hidden_size=3, embed_dropout_rate=0.5, final_dropout_rate=0.5)
    before = model.embed_dropout, model.final_dropout
    state = torch.get_rng_state()
    ids = torch.randint(1, 20, (4, 5), generator=torch.Generator().manual_seed(0))
    with batch_dropout(torch.nn.Sequential(model.train()), seed=1) as batch:
        batch.size, batch.rows = 4, torch.arange(4)
        one, two = model(ids), model(ids)
        batch.rows = torch.tensor([2])
        assert torch.allclose(model(ids[2:3]), one[2:3], atol=1e-6)
        batch.step, batch.rows = 1, torch.arange(4)
        assert not torch.equal(model(ids), one)
    assert torch.equal(one, two)
    assert (model.embed_dropout, model.final_dropout) == before
    assert torch.equal(torch.get_rng_state(), state)
