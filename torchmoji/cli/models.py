"""The commands about models: `info`, `export`, `convert`, `download`, `serve`, `demo`; and which to use."""

import argparse
import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torchmoji import __version__
from torchmoji.balancing import FACTS
from torchmoji.cli.arguments import (
    Compute,
    add_compute,
    add_force,
    add_options,
    new_output,
    note,
    read_options,
    show_bar,
)
from torchmoji.create_vocab import load_vocabulary
from torchmoji.global_variables import original_weights_installed
from torchmoji.onnx.model import OUTPUTS, export
from torchmoji.pipeline.engines import ENGINES
from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.server import Settings, serve
from torchmoji.weights.folder import find

_ONNX_ENDING = ".onnx"
_LIMITS = ("max_texts", "max_characters", "max_waiting", "max_rows")
"""Fields of the server's settings that are options."""


def add_model_options(command: Any) -> None:
    """Options that name a model, for `load_pipeline`."""
    command.add_argument(
        "--model",
        metavar="NAME",
        help="default, deepmoji (the original weights), a folder, an .onnx file, or a hub id",
    )
    command.add_argument("--weights", metavar="FILE", help="weights of a model, or an .onnx file")
    command.add_argument(
        "--vocabulary", metavar="FILE", help="the vocabulary of these weights; an .onnx file can have its own"
    )
    command.add_argument(
        "--backend",
        choices=("auto", *ENGINES),
        default="auto",
        help="what computes: auto is onnx, which starts sooner, where the extra onnx is installed, "
        "else torch; both give the same (default: %(default)s)",
    )


def load_pipeline(options: argparse.Namespace) -> MojiPipeline:
    """The model that the options name; ValueError where they clash, OSError where it cannot be fetched."""
    name, weights = model_name(options), options.weights
    if weights is None and options.vocabulary is not None and not options.model:
        raise ValueError("--weights and --vocabulary belong together: give both or neither")
    is_onnx = name.endswith(_ONNX_ENDING)
    if is_onnx and options.backend == "torch":
        raise ValueError(f"torch cannot run {name}: use --backend onnx, or weights for torch")
    if is_onnx and not os.path.isfile(name):
        raise FileNotFoundError(f"there is no ONNX file {name}: check the path")
    if weights is not None and not is_onnx and options.vocabulary is None:
        raise ValueError("--weights and --vocabulary belong together: give both or neither")
    files, compute = find(name, options.vocabulary or None), asdict(read_options(options, Compute))
    batch_size = compute.pop("batch_size")
    pipeline = MojiPipeline.from_pretrained(files, options.backend, **compute)
    pipeline.batch_size = batch_size
    return pipeline


def model_name(options: argparse.Namespace) -> str:
    """The name of the model, for `torchmoji.weights.folder.find`; ValueError where there are two."""
    if options.model and options.weights:
        raise ValueError("give --model or --weights, not both")
    installed = "deepmoji" if original_weights_installed() else "default"
    return str(options.weights or options.model or installed)


def add_commands(add: Any) -> None:
    """Add all; `add` makes a command from its name, a summary, a description and examples."""
    info = add("info", "describe a model", "Say what a model is made of.", ["torchmoji info --json"])
    add_model_options(info)
    info.add_argument("--json", action="store_true", help="JSON, for programs")
    info.set_defaults(run=_info)
    _add_export(add)
    _add_convert(add)
    download = add(
        "download",
        "fetch the original DeepMoji weights",
        "Fetch the original weights and their vocabulary into the cache; they are used from then on. An\n"
        "interrupted download goes on where it stopped.",
        ["torchmoji download", "torchmoji download --quiet"],
    )
    download.add_argument("--quiet", action="store_true", help="no progress bars")
    download.set_defaults(run=_download, stopped="the same command goes on where it was")
    serve = add(
        "serve",
        "answer requests over HTTP, with a page to try the model on",
        "Serve embeddings, emojis, emotions and attention over HTTP, in the forms of OpenAI and of\n"
        "text-embeddings-inference, and a page (extra server). Other machines reach it only with --host\n"
        "0.0.0.0; a key from the environment variable TORCHMOJI_KEY, or --key, keeps others out.",
        [
            "torchmoji serve",
            "TORCHMOJI_KEY=secret torchmoji serve --host 0.0.0.0 --allow-host emojis.example.org",
        ],
    )
    demo = add(
        "demo",
        "serve a page to try a model on",
        "Serve a page on this machine where emojis appear while you type (extra server). Nothing leaves the\n"
        "machine; other machines reach the page only with --host 0.0.0.0. Ctrl-C ends it.",
        ["torchmoji demo --open", "torchmoji demo --model sentiment/ --port 8000"],
    )
    for command in (serve, demo):
        _add_server_options(command)
    demo.add_argument("--open", action="store_true", help="open it in the browser")
    serve.set_defaults(open=False)


def _add_server_options(command: Any) -> None:
    add_model_options(command)
    add_compute(command)
    command.add_argument("--host", default="127.0.0.1", metavar="NAME", help="address (default: %(default)s)")
    command.add_argument(
        "--port", type=int, default=7860, metavar="N", help="0 takes a free one (default: %(default)s)"
    )
    group = command.add_argument_group("who may ask, and how much")
    group.add_argument(
        "--key", help="what clients must send as `Authorization: Bearer KEY` (default: $TORCHMOJI_KEY)"
    )
    group.add_argument(
        *("--allow-host",), action="append", default=[], metavar="NAME",
        help="a name of this server, which clients use; * for any; several times",
    )  # fmt: skip
    group.add_argument(
        *("--allow-origin",), action="append", default=[], metavar="SITE",
        help="a site whose pages may ask, such as https://example.org; several times",
    )  # fmt: skip
    add_options(group, Settings, {entry.name for entry in fields(Settings)}.difference(_LIMITS))
    command.set_defaults(run=_serve)


def _add_export(add: Any) -> None:
    exporting = add(
        "export",
        "write a model as an ONNX file",
        "Write a model as an ONNX file, with its vocabulary.",
        [
            "torchmoji export --out model.onnx --quantize int8",
            "torchmoji export --out features.onnx --weights weights.bin --output features attention",
        ],
    )
    exporting.add_argument("--out", required=True, metavar="FILE", help="the new file")
    exporting.add_argument("--model", metavar="FOLDER", help="a model's folder")
    exporting.add_argument(
        "--weights", metavar="FILE", help="weights of a model (default: the installed one)"
    )
    exporting.add_argument(
        "--vocabulary", metavar="FILE", help="the vocabulary of these weights (default: none goes with them)"
    )
    exporting.add_argument(
        "--quantize", choices=("int8",), help="a quarter of the size, two to three times as fast"
    )
    exporting.add_argument(
        "--output", nargs="+", choices=OUTPUTS, metavar="NAME", help=f"some of {', '.join(OUTPUTS)}"
    )
    add_force(exporting)
    exporting.set_defaults(run=_export)


def _add_convert(add: Any) -> None:
    converting = add(
        "convert",
        "write weights in another format",
        "Write the weights of a model as a torch (.bin, .pth, .pt), safetensors or Keras (.hdf5, .h5) file.\n"
        "What was written is read back and compared before it gets its name.",
        [
            "torchmoji convert deepmoji_weights.hdf5 weights.safetensors",
            "torchmoji convert default weights.bin --force",
        ],
    )
    converting.add_argument(
        "source", metavar="SOURCE", help="a weights file, whose content says what it is, or a model's name"
    )
    converting.add_argument("target", metavar="FILE", type=Path, help="the new file")
    add_force(converting)
    converting.add_argument("--json", action="store_true", help="JSON, for programs")
    converting.set_defaults(run=_convert)


def _info(options: argparse.Namespace) -> None:
    pipeline = load_pipeline(options)
    about = {
        "classes": list(pipeline.classes),
        "features": pipeline.engine.nb_features,
        "tokens": pipeline.engine.nb_tokens,
        "words": len(pipeline.vocabulary),
        "max_length": pipeline.max_length,
        "version": __version__,
    }
    if options.json:
        print(json.dumps(about, ensure_ascii=False))
        return
    for name, value in about.items():
        print(f"{name}: {' '.join(value) if isinstance(value, list) else value}")


def _export(options: argparse.Namespace) -> None:
    if options.model and (options.weights or options.vocabulary):
        raise ValueError("give --model or --weights with --vocabulary, not both")
    if options.vocabulary is not None and options.weights is None:
        raise ValueError("--vocabulary needs --weights: the default model goes with its own")
    if not options.out.endswith(_ONNX_ENDING):
        raise ValueError(f"cannot write {options.out}: its ending must be {_ONNX_ENDING}")
    inputs = [name for name in (options.model, options.weights, options.vocabulary) if name]
    out = new_output(options.out, options.force, inputs)
    if options.weights:
        weights, config = options.weights, {}
        vocabulary = load_vocabulary(options.vocabulary) if options.vocabulary else None
    else:
        files = find(model_name(options))
        weights, vocabulary, config = os.fspath(files.weights), files.vocabulary, files.config
    facts: dict[str, Any] = {name: config.get(name) for name in FACTS}
    export(weights, out, options.quantize, output=options.output, vocabulary=vocabulary, **facts)
    print(f"{options.out}: {os.path.getsize(options.out) / 1e6:.1f} MB")


def _convert(options: argparse.Namespace) -> None:
    from torchmoji.weights.formats import FILE_ENDINGS, describe, rewrite

    source = Path(options.source).expanduser()
    if source.suffix.lower() in FILE_ENDINGS and not source.exists():
        raise FileNotFoundError(f"there is no file {source}: check the path")
    if not source.is_file():
        source = find(options.source).weights
    weights = rewrite(source, new_output(options.target, options.force, [source]), options.force)
    if options.json:
        layers = {name: list(tensor.shape) for name, tensor in weights.items()}
        print(json.dumps({"file": os.fspath(options.target), "layers": layers}))
    else:
        print(describe(weights, source, options.target))


def _download(options: argparse.Namespace) -> None:
    from torchmoji.weights.hub import download_original

    weights, vocabulary = download_original(progress=show_bar(options.quiet))
    print(f"weights:    {weights}\nvocabulary: {vocabulary}")


def _serve(options: argparse.Namespace) -> None:
    key = (os.environ.get("TORCHMOJI_KEY") or None) if options.key is None else options.key
    settings = Settings(
        key=key,
        hosts=tuple(options.allow_host),
        origins=tuple(options.allow_origin),
        batch_texts=options.batch_size or Settings.batch_texts,
        **{name: getattr(options, name) for name in _LIMITS},
    )
    if key is None and options.host not in ("127.0.0.1", "localhost", "::1"):
        note("whoever reaches this address may ask: set TORCHMOJI_KEY to keep others out")
    serve(
        load_pipeline(options),
        host=options.host,
        port=options.port,
        settings=settings,
        open_browser=options.open,
        ready=lambda address: print(f"{address}  (Ctrl-C ends it)", flush=True),
    )
