import torch

from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.dropout import BatchDropout, Place, batch_dropout


def dropped(place, rows, step=3, layer=0, batch=8):
    place.move(step, batch, torch.tensor(rows))
    return BatchDropout(0.5, place, layer)(torch.ones(len(rows), 20))


def test_a_texts_mask_does_not_depend_on_what_is_computed_with_it():
    place = Place(seed=1)
    whole = dropped(place, list(range(8)))
    parts = torch.cat([dropped(place, [0, 2, 4, 6]), dropped(place, [1, 3, 5, 7])])
    assert torch.equal(whole[[0, 2, 4, 6, 1, 3, 5, 7]], parts)


def test_masks_differ_by_step_layer_and_seed():
    place = Place(seed=1)
    masks = [dropped(place, [0]), dropped(place, [0], step=4), dropped(place, [0], layer=1)]
    masks += [dropped(Place(seed=2), [0]), dropped(place, [1])]
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == len(masks)


def test_half_is_dropped_and_the_rest_scaled():
    found = dropped(Place(seed=1), list(range(8)))
    assert set(found.unique().tolist()) == {0.0, 2.0}
    assert 0.3 < (found == 0).float().mean() < 0.7


def test_nothing_happens_in_evaluation_mode_or_without_a_rate():
    place = Place(seed=1)
    ones = torch.ones(2, 3)
    assert BatchDropout(0.5, place, 0).eval()(ones) is ones
    assert BatchDropout(0.0, place, 0)(ones) is ones


def test_a_model_gets_its_own_dropout_back_and_no_generator_moves():
    model = TorchMoji(3, 20, embedding_dim=4, hidden_size=3, embed_dropout_rate=0.5, final_dropout_rate=0.5)
    before = model.embed_dropout, model.final_dropout
    state = torch.get_rng_state()
    ids = torch.randint(1, 20, (4, 5), generator=torch.Generator().manual_seed(0))
    with batch_dropout(model.train(), seed=1) as place:
        place.move(0, 4, torch.arange(4))
        one, two = model(ids), model(ids)
        place.move(0, 4, torch.tensor([2]))
        assert torch.allclose(model(ids[2:3]), one[2:3], atol=1e-6)
        place.move(1, 4, torch.arange(4))
        assert not torch.equal(model(ids), one)
    assert torch.equal(one, two)
    assert (model.embed_dropout, model.final_dropout) == before
    assert torch.equal(torch.get_rng_state(), state)
