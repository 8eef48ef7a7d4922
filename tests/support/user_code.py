"""What a user with `mypy --strict` writes. Checked by `.ci/run`, not run by pytest: types are the test."""

import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

import torchmoji
from torchmoji import MojiPipeline, SentenceTokenizer, TorchMoji, torchmoji_emojis, torchmoji_transfer
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOJIS, top_emojis
from torchmoji.estimator import TorchMojiClassifier, TorchMojiVectorizer
from torchmoji.finetuning import finetune, load_benchmark
from torchmoji.global_variables import PRETRAINED_PATH, VOCAB_PATH
from torchmoji.pipeline.results import EmojiScore, Explanation, Prediction, Predictions, WordAttention

if sys.version_info >= (3, 11):
    from typing import assert_type
else:
    from typing_extensions import assert_type


def with_a_pipeline(texts: list[str], lines: Iterator[str]) -> None:
    pipeline = MojiPipeline.from_pretrained("default", backend="onnx")
    assert_type(pipeline, MojiPipeline)
    assert_type(pipeline.predict("text"), Prediction)
    assert_type(pipeline.predict(texts, top_k=2), Predictions)
    assert_type(pipeline.predict(lines), Iterator[Prediction])
    assert_type(pipeline.predict("text")[0], EmojiScore)
    assert_type(pipeline.predict("text")[0].probability, float)
    assert_type(pipeline.emojize("text"), str)
    assert_type(pipeline.emojize(texts), list[str])
    assert_type(pipeline.attention("text"), list[WordAttention])
    assert_type(pipeline.attention(texts), list[list[WordAttention]])
    assert_type(pipeline.explain("text"), Explanation)
    assert_type(pipeline.predict_proba(texts), npt.NDArray[np.float32])
    assert_type(pipeline.emotions(texts), npt.NDArray[np.float32])
    assert_type(pipeline.encode(texts), npt.NDArray[np.float32])
    assert_type(pipeline.encode("text"), npt.NDArray[np.float32])
    assert_type(pipeline.encode(lines), Iterator[npt.NDArray[np.float32]])
    assert_type(pipeline.encode_stream(texts), Iterator[npt.NDArray[np.float32]])
    assert_type(pipeline.similarity("one", "other"), float)
    assert_type(pipeline.similarity(texts, texts), npt.NDArray[np.float32])
    pipeline.save_pretrained("folder")


def with_estimators(texts: list[str], labels: list[str]) -> None:
    classifier = TorchMojiClassifier(method="last").fit(texts, labels)
    assert_type(classifier, TorchMojiClassifier)
    assert_type(classifier.predict_proba(texts), npt.NDArray[np.float32])
    classifier.save("folder")
    assert_type(TorchMojiClassifier.load("folder"), TorchMojiClassifier)
    assert_type(TorchMojiVectorizer().fit(texts).transform(texts), npt.NDArray[np.float32])


def as_in_2017(texts: list[str]) -> None:
    tokenizer = SentenceTokenizer(load_vocabulary(VOCAB_PATH), 30)
    tokens, _, _ = tokenizer.tokenize_sentences(texts)
    model = torchmoji_emojis(PRETRAINED_PATH)
    assert_type(model, TorchMoji)
    for guess in top_emojis(model(tokens), top_k=3)[0]:
        assert_type(guess.emoji, str)
    data = load_benchmark("data.csv", load_vocabulary(VOCAB_PATH))
    tuned, score = finetune(
        torchmoji_transfer(2, PRETRAINED_PATH), data["texts"], data["labels"], 2, 32, method="last"
    )
    assert_type(tuned, TorchMoji)
    assert_type(score, float)
    assert_type(torchmoji.__version__, str)
    assert len(EMOJIS) == 64
