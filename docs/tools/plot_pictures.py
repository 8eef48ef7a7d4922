"""Pictures by `torchmoji.plot.plot`, of the examples on the pages."""

from functools import lru_cache

from matplotlib.figure import Figure
from style import WIDTH, Picture, Theme

from torchmoji import MojiPipeline, plot
from torchmoji.estimator import TorchMojiClassifier
from torchmoji.training.datasets import read_labelled_texts

SENTENCES = ("I love mom's cooking", "stuck in traffic again, so angry", "not again.. my train is late")
DATA = "examples/data/sentiment.csv"


@lru_cache
def _pipeline() -> MojiPipeline:
    return MojiPipeline.from_pretrained(backend="onnx")


@lru_cache
def _classifier() -> tuple[TorchMojiClassifier, list[int], list[int]]:
    """The tutorial's classifier, with the true and the predicted labels of the test texts."""
    from measurements import REPOSITORY

    data = read_labelled_texts(REPOSITORY / DATA)
    train, validation, test = (([data.texts[row] for row in rows], data.labels[rows]) for rows in data.split)
    classifier = TorchMojiClassifier(method="last", random_state=42).fit(*train, validation=validation)
    return classifier, test[1].tolist(), classifier.predict(test[0]).tolist()


def attention(theme: Theme) -> Picture:
    """A few sentences with the weights of their words."""
    predictions = _pipeline().predict(list(SENTENCES))
    figure = Figure(figsize=(WIDTH * 0.5, 1.85))
    plot.attention_heatmap(predictions, ax=figure.add_axes((0.01, 0, 0.98, 1)))
    weights = [" ".join(f"{word.weight:.2f}" for word in prediction.words) for prediction in predictions]
    return Picture(figure, "; ".join(weights))


def emoji_bars(theme: Theme) -> Picture:
    """The likeliest emojis of a sentence."""
    prediction = _pipeline().predict(SENTENCES[0])
    figure = Figure(figsize=(WIDTH * 0.7, 2.7), layout="constrained")
    plot.emoji_bars(prediction, ax=figure.add_subplot())
    return Picture(figure, " ".join(f"{score.index} {score.probability:.2f}" for score in prediction))


def learning_curve(theme: Theme) -> Picture:
    """The losses of the tutorial's classifier."""
    classifier, _, _ = _classifier()
    figure = Figure(figsize=(WIDTH * 0.85, 3.2), layout="constrained")
    plot.learning_curve(classifier, ax=figure.add_subplot())
    losses = [epoch["val_loss"] for epoch in classifier.history_]
    return Picture(figure, f"validation loss {losses[0]:.2f}, at best {min(losses):.2f}")


def confusion_matrix(theme: Theme) -> Picture:
    """Right and wrong labels of the tutorial's classifier."""
    _, true, predicted = _classifier()
    figure = Figure(figsize=(WIDTH * 0.5, 3), layout="constrained")
    plot.confusion_matrix(true, predicted, labels=[0, 1], ax=figure.add_subplot())
    accuracy = sum(a == b for a, b in zip(true, predicted, strict=True)) / len(true)
    return Picture(figure, f"accuracy {accuracy:.2f}")


MAPPED = (
    "I love mom's cooking",
    "best dinner ever, so tasty",
    "cake for breakfast, yes please",
    "not again.. my train is late",
    "stuck in traffic again, so angry",
    "why is the bus never on time",
    "my dog died last night",
    "I miss you so much it hurts",
    "crying in my room all day",
    "happy birthday, have a great day",
    "congrats, so proud of you",
    "thank you all for the kind words",
)


def encoding_map(theme: Theme) -> Picture:
    """Texts as points: near where they feel alike."""
    encodings = _pipeline().encode(list(MAPPED))
    labels = [prediction[0].emoji for prediction in _pipeline().predict(list(MAPPED), top_k=1)]
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    plot.encoding_map(encodings, list(MAPPED), labels=labels, annotate=len(MAPPED), ax=figure.add_subplot())
    return Picture(figure, f"labels {' '.join(labels)}")
