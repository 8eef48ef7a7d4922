"""torchmoji.plot.plot: what the pictures show, what they leave alone, and what they refuse."""

import io
import pickle
import random

import matplotlib
import numpy as np
import pandas
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from sklearn import metrics

from torchmoji import EMOJIS
from torchmoji.emojis import Guess, alias
from torchmoji.estimator import TorchMojiClassifier
from torchmoji.pipeline.results import EmojiScore, Prediction, Predictions
from torchmoji.pipeline.spans import placed_words
from torchmoji.plot.glyphs import emoji_image
from torchmoji.plot.plot import attention_heatmap, confusion_matrix, emoji_bars, encoding_map, learning_curve
from torchmoji.plot.text_map import EmojiMarkers

matplotlib.use("Agg")  # also where there is a screen

NASTY = "日本 😂🫠👍🏽 $5 $6 \x07 مرحبا \U0010ffff ♡"


def prediction(text="I love it", weights=(0.2, 0.7, 0.1), emojis="😋😍❤", probabilities=(0.4, 0.2, 0.05)):
    pairs = enumerate(zip(emojis, probabilities, strict=False))
    scores = [EmojiScore(name, alias(name), n, p) for n, (name, p) in pairs]
    return Prediction(scores, text, np.array(weights, dtype=np.float32))


def history(*losses, **more):
    return [{"stage": "training", "train_loss": loss / 2, "val_loss": loss, **more} for loss in losses]


def blobs(n=40):
    rows = np.random.RandomState(0).normal(size=(n, 8)).astype(np.float32)
    return rows, [f"this is the text number {number}" for number in range(n)]


EVERY = {
    "emoji_bars": lambda **options: emoji_bars(prediction(NASTY, ()), **options),
    "attention_heatmap": lambda **options: attention_heatmap(
        prediction(NASTY, [0.05] * len(placed_words(NASTY))), **options
    ),
    "encoding_map": lambda **options: encoding_map(
        blobs()[0], [NASTY] * 40, labels=["😂", "🫠", "日本", NASTY] * 10, **options
    ),
    "confusion_matrix": lambda **options: confusion_matrix(["😂", "🫠", NASTY], ["😂"] * 3, **options),
    "learning_curve": lambda **options: learning_curve(history(3, 2, 2.5), **options),
}
every = pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)


@pytest.fixture(autouse=True)
def _closed():
    """No figure is left of a test, or of those before."""
    pyplot.close("all")
    yield
    pyplot.close("all")


def pictures(ax):
    """The boxes on the axes that are a picture."""
    return [
        box
        for box in ax.artists
        if isinstance(box, AnnotationBbox) and isinstance(box.offsetbox, OffsetImage)
    ]


def texts_of(ax):
    return [text.get_text() for text in ax.findobj(Text) if text.get_text()]


# --- all --------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    "kind", ["png", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in ("pdf", "svg"))]
)
def test_any_text_is_drawn_without_missing_characters(draw, kind):
    """Matplotlib warns of characters that its fonts lack, and a warning fails."""
    file = io.BytesIO()
    with pyplot.style.context("dark_background" if kind == "png" else "default"):
        ax = draw()
        ax.figure.savefig(file, format=kind)
    assert len(file.getvalue()) > 5000
    assert pyplot.get_fignums() == [ax.figure.number]


@every
def test_given_axes_are_drawn_on_and_nothing_else_changes(draw):
    def state():
        return dict(matplotlib.rcParams), random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002

    before, ax = state(), Figure(figsize=(8, 5)).subplots()
    empty = len(ax.get_children())
    assert draw(ax=ax) is ax
    assert pyplot.get_fignums() == []
    assert len(ax.get_children()) > empty
    assert state() == before


# --- bars -------------------------------------------------------------------------------------------------


def test_bars_are_the_probabilities_best_on_top():
    ax = emoji_bars(prediction())
    assert [bar.get_width() for bar in ax.patches] == [0.4, 0.2, 0.05]
    assert ax.yaxis.get_inverted()
    assert [box.xy[1] for box in pictures(ax)] == [0, 1, 2]
    for box, emoji in zip(pictures(ax), "😋😍❤", strict=True):
        np.testing.assert_array_equal(box.offsetbox.get_data(), emoji_image(emoji, 96))
    assert [text for text in texts_of(ax) if text.endswith("%")] == ["40.0%", "20.0%", "5.0%"]


def test_the_title_is_the_text_in_at_most_two_lines():
    assert emoji_bars(prediction("I love $5 and $6")).get_title("left") == "I love $5 and $6"
    assert emoji_bars(prediction(), title="").get_title("left") == ""
    title = emoji_bars(prediction("a long text that does not end " * 20)).get_title("left")
    assert title.count("\n") == 1
    assert title.endswith("…")


def test_classes_that_are_no_emojis_are_written():
    ax = emoji_bars([Guess("positive", 0.8), Guess("😂", 0.2)])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["positive", ""]
    assert len(pictures(ax)) == 1


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ("I love it", TypeError, r"expected the prediction of one text, .* got str: use pipe\.predict"),
        (None, TypeError, "got NoneType"),
        (Predictions([prediction()]), TypeError, r"got Prediction: .* choose one, such as predictions\[0\]"),
        ([], ValueError, "the prediction is empty"),
        ([Guess("😂", float("nan"))], ValueError, "😂 has the probability nan; it must be from 0 to 1"),
        ([Guess("😂", 2.0)], ValueError, r"the probability 2\.0"),
    ],
)
def test_wrong_predictions_are_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        emoji_bars(wrong)
    assert pyplot.get_fignums() == []


# --- heat map ---------------------------------------------------------------------------------------------


def cells(ax):
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def test_cells_are_the_words_darker_with_more_attention():
    ax = attention_heatmap(prediction())
    assert [text for text in texts_of(ax) if text in ("I", "love", "it")] == ["I", "love", "it"]
    first, second, third = [sum(cell.get_facecolor()[:3]) for cell in cells(ax)]
    assert second < first < third


def test_each_text_begins_a_line_behind_its_likeliest_emoji():
    ax = attention_heatmap(Predictions([prediction(), prediction("never", [1.0], "😡", [0.5])]))
    *first, second = cells(ax)
    assert len({cell.get_y() for cell in first}) == 1
    assert second.get_y() > first[0].get_y()
    assert second.get_x() == first[0].get_x()
    middles = [cell.get_y() + cell.get_height() / 2 for cell in (first[0], second)]
    assert [box.xy[1] for box in pictures(ax)] == middles


def test_a_long_text_goes_on_in_the_next_line_within_the_axes():
    ax = attention_heatmap(prediction("some words " * 60, [1 / 120] * 120))
    assert len(cells(ax)) == 120
    assert len({cell.get_y() for cell in cells(ax)}) > 5
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for cell in cells(ax):
        assert left <= cell.get_x() < cell.get_x() + cell.get_width() <= right
        assert top <= cell.get_y() < cell.get_y() + cell.get_height() <= bottom


def test_words_are_written_as_in_the_text():
    assert {"Soooo", "GOOD"} <= set(texts_of(attention_heatmap(prediction("Soooo GOOD", [0.5, 0.5]))))
    assert "(no words)" in texts_of(attention_heatmap(prediction("", [])))


def test_words_get_smaller_on_small_axes_until_they_cannot():
    many = prediction("some words " * 30, [1 / 60] * 60)

    def size(width, height):
        ax = attention_heatmap(many, ax=Figure(figsize=(width, height)).subplots())
        return next(text.get_fontsize() for text in ax.findobj(Text) if text.get_text() == "some")

    assert size(8, 6) == 11 > size(5, 3) >= 5
    with pytest.raises(ValueError, match=r"the axes have \d+ x \d+ points, but .* give larger axes"):
        size(2, 1)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ("I love it", TypeError, r"expected predictions, got str: use pipe\.predict"),
        (None, TypeError, "got NoneType"),
        ([[("I", 0.5)]], TypeError, r"expected predictions, got list: use pipe\.predict"),
        ([], ValueError, "there are no predictions"),
        (prediction(weights=[0.1, np.nan, 0.2]), ValueError, "the attention of 'love' is nan"),
    ],
)
def test_wrong_attention_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        attention_heatmap(wrong)
    assert pyplot.get_fignums() == []


# --- map --------------------------------------------------------------------------------------------------


def test_points_are_the_principal_components():
    from sklearn.decomposition import PCA

    rows, texts = blobs()
    ax = encoding_map(rows, texts)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), PCA(2).fit_transform(rows), atol=1e-4)
    assert "% of the variance" in ax.get_xlabel()


def test_tsne_keeps_neighbours_and_repeats_itself():
    rows = np.repeat(np.eye(3, 8) * 10, 20, axis=0) + np.random.RandomState(0).normal(size=(60, 8))
    points, again = (
        np.asarray(encoding_map(rows, [""] * 60, method="tsne", seed=1).collections[0].get_offsets())
        for _ in range(2)
    )
    np.testing.assert_array_equal(points, again)
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) + np.eye(60) * 1e9
    assert (distances.argmin(1) // 20 == np.arange(60) // 20).all()


def test_written_texts_are_in_the_axes_and_not_over_each_other():
    rows, texts = blobs(200)
    ax = encoding_map(rows, texts, annotate=15)
    ax.figure.canvas.draw()
    boxes = [box.get_window_extent() for box in ax.artists]
    assert 8 <= len(boxes) <= 15
    assert not [1 for n, box in enumerate(boxes) for other in boxes[:n] if box.overlaps(other)]
    frame = ax.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 for box in boxes)


def test_emojis_are_drawn_as_points_and_other_labels_have_colours_and_a_legend():
    rows, texts = blobs()
    ax = encoding_map(rows, texts, labels=["😂", "joy", "♡", "fear"] * 10, annotate=0)
    markers = [artist for artist in ax.artists if isinstance(artist, EmojiMarkers)]
    assert {marker.emoji: len(marker.points) for marker in markers} == {"😂": 10, "♡": 10}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["fear", "joy"]
    assert len({tuple(points.get_facecolor()[0]) for points in ax.collections}) == 2


def test_emojis_are_seen_the_right_way_up_at_their_points():
    ax = pyplot.figure(figsize=(1, 1), dpi=100).add_axes((0, 0, 1, 1))
    ax.add_artist(EmojiMarkers("😂", np.array([[0.5, 0.5]]), size=36))
    ax.axis("off")
    ax.figure.canvas.draw()
    drawn = np.asarray(ax.figure.canvas.buffer_rgba())[25:75, 25:75, :3].astype(int)
    picture = emoji_image("😂", 50).astype(int)
    opaque = picture[..., 3] == 255
    assert np.abs(drawn - picture[..., :3])[opaque].mean() < 1


@pytest.mark.parametrize(
    ("rows", "n", "options", "message"),
    [
        (np.zeros((0, 8)), 0, {}, r"pca wants encodings \(n, F\) of 2 texts or more, got the shape \(0, 8\)"),
        (np.eye(8)[0], 8, {}, r"got the shape \(8,\)"),
        (np.eye(2), 2, {"method": "tsne"}, r"tsne wants encodings \(n, F\) of 3 texts or more"),
        (np.eye(8), 7, {}, "there are 8 encodings, but 7 texts: give one for each"),
        (np.eye(8), 8, {"labels": ["a"]}, "there are 8 encodings, but 1 labels"),
        (np.eye(8), 8, {"method": "umap"}, "method is 'umap'; it must be one of pca, tsne"),
        (np.eye(8), 8, {"annotate": -1}, "annotate must be 0 or more, got -1"),
        (np.diag([1, 2, np.nan, 4]), 4, {}, "the encoding of text 2 is not finite"),
        (np.ones((4, 8)), 4, {}, "all encodings are equal"),
    ],
)
def test_wrong_encodings_are_refused(rows, n, options, message):
    with pytest.raises(ValueError, match=message):
        encoding_map(rows, ["text"] * n, **options)
    assert pyplot.get_fignums() == []


# --- confusion matrix -------------------------------------------------------------------------------------

TRUE, PREDICTED = list("aabbbc"), list("abbbca")


@pytest.mark.parametrize("normalize", ["pred", "all", None])
def test_cells_are_those_of_scikit_learn(normalize):
    ax = confusion_matrix(TRUE, PREDICTED, normalize=normalize)
    expected = metrics.confusion_matrix(TRUE, PREDICTED, normalize=normalize) * (100 if normalize else 1)
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    written = {text.get_position(): text.get_text() for text in ax.texts}
    for (row, column), value in np.ndenumerate(expected):
        assert written[column, row] == (f"{value:.1f}" if normalize == "all" else f"{value:.0f}")


def test_axes_are_named_and_in_the_order_of_labels():
    ax = confusion_matrix(np.array(TRUE), np.array(PREDICTED), labels=["c", "a", "b"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["c", "a", "b"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c", "a", "b"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert ax.images[0].get_array()[1, 1] == 50


def test_classes_that_are_emojis_are_pictures_and_the_axis_is_named_beside_them():
    y = list(EMOJIS[:6]) * 2
    ax = confusion_matrix(y, y, labels=EMOJIS[:6])
    ax.figure.draw_without_rendering()
    assert len(pictures(ax)) == 12
    for name in (ax.xaxis.label, ax.yaxis.label):
        extent = name.get_window_extent()
        assert not [box for box in pictures(ax) if box.get_window_extent().overlaps(extent)]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([], []), {}, r"got the shapes \(0,\) and \(0,\)"),
        ((["a"], ["a", "b"]), {}, r"one of each for each text, got the shapes \(1,\) and \(2,\)"),
        ((np.eye(2), np.eye(2)), {}, r"y_true and y_pred must be classes \(n,\), .* \(2, 2\)"),
        (("ab", "ab"), {}, r"must be classes \(n,\)"),
        ((["a"], ["a"]), {"normalize": "rows"}, "is 'rows'; it must be one of true, pred, all or None"),
        ((["a"], ["b"]), {"labels": ["a"]}, "labels must have each class once, .* lacking 'b'"),
        ((["a"], ["a"]), {"labels": ["a", "a"]}, "labels must have each class once"),
        ((["a"], [1]), {}, "classes cannot be sorted .*: give them as labels"),
        (([0.0, np.nan], [0, 1]), {}, "each text must have a class in y_true and in y_pred, got nan"),
        ((["a"], [None]), {}, "got None"),
    ],
)
def test_wrong_classes_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(*arguments, **options)
    assert pyplot.get_fignums() == []


# --- learning curve ---------------------------------------------------------------------------------------


def lines(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_losses_over_epochs_and_the_best_marked():
    ax = learning_curve(history(3, 1, 1))
    drawn = lines(ax)
    assert list(drawn["training loss"].get_ydata()) == [1.5, 0.5, 0.5]
    assert list(drawn["validation loss"].get_ydata()) == [3, 1, 1]
    assert list(drawn["validation loss"].get_xdata()) == [1, 2, 3]
    assert drawn["best epoch: 2 (1)"].get_xydata().tolist() == [[2, 1]]


def test_a_metric_has_an_axis_at_the_right():
    rows = [row | {"val_accuracy": n / 3} for n, row in enumerate(history(3, 1, 2))]
    ax = learning_curve(rows)
    (right,) = [other for other in ax.figure.axes if other is not ax]
    assert right.get_ylabel() == "validation accuracy"
    assert list(lines(right)["validation accuracy"].get_ydata()) == [0, 1 / 3, 2 / 3]
    assert "validation accuracy" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_stages_of_chain_thaw_are_named():
    stages = ["chain-thaw 1/2, output_layer"] * 2 + ["chain-thaw 2/2, everything"] * 2
    rows = zip(history(4, 3, 2, 1), stages, strict=True)
    ax = learning_curve([row | {"stage": stage} for row, stage in rows])
    assert {text.get_text(): text.xy[0] for text in ax.texts} == {"output_layer": 1, "everything": 2.5}
    assert not learning_curve(history(2, 1)).texts


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (object(), TypeError, "expected a fitted TorchMojiClassifier or its history_, got object: call"),
        ({"train_loss": [1]}, TypeError, "got dict"),
        ([], ValueError, "the history has no epochs"),
        ([1], TypeError, "got list: call fit first"),
        (TorchMojiClassifier(), TypeError, "got TorchMojiClassifier: call fit first"),
        ([{"train_loss": 1.0}], ValueError, "epoch 1 has val_loss=None; it must be a finite number"),
        (history(1, np.nan), ValueError, "epoch 2 has .*_loss=nan; it must be a finite number"),
        (history(1, val_f1="high"), ValueError, "epoch 1 has val_f1='high'"),
    ],
)
def test_wrong_histories_are_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        learning_curve(wrong)
    assert pyplot.get_fignums() == []


def test_texts_of_a_map_go_by_place_and_are_texts():
    rows, words = np.random.default_rng(0).normal(size=(3, 8)), ["first", "second", "third"]

    def written(texts):
        axes = encoding_map(rows, texts, ax=Figure().add_subplot())
        return sorted((round(text.xy[0], 3), text.get_text()) for text in axes.texts)

    assert written(pandas.Series(words, index=[2, 0, 1])) == written(words)
    with pytest.raises(TypeError, match="text 1 is not a string but NoneType"):
        written(["first", None, "third"])
