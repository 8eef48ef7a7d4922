"""`torchmoji encode` with a folder of parts: `--shards`, `--rows-per-part` or `--engine`."""

import argparse
from dataclasses import asdict
from typing import Any

from torchmoji.batch.encoder import DTYPES, ENGINES, OUTPUTS
from torchmoji.cli.arguments import Compute, note, positive, read_options, show_bar
from torchmoji.cli.models import model_name
from torchmoji.files.tables import DEFAULT_COLUMN

EXAMPLES = [
    "torchmoji encode tweets.parquet --out features/ --shards 100 --dtype float16",
    "torchmoji encode --input tweets/ --out emojis/ --engine ray --outputs emojis emotions",
]
_ONLY_HERE = ("outputs", "top_k", "dtype", "strict", "address", "gpus", "balance")


def add_job_options(command: Any) -> None:
    """Options of a job; those that make one are `--shards`, `--rows-per-part` and `--engine`."""
    group = command.add_argument_group(
        "a folder of Parquet parts",
        "With one of the first three options --out is a folder; --input may be one too, also elsewhere\n"
        "(s3://...). All columns are kept; a row that cannot be read gets the reason in the column error;\n"
        "the same command goes on where it was stopped.",
    )
    group.add_argument("--shards", type=positive, metavar="N", help="write so many parts")
    group.add_argument("--rows-per-part", type=positive, metavar="N", help="rows of a part (default: 50000)")
    group.add_argument("--engine", choices=ENGINES, help="processes here, or Ray (extra ray)")
    group.add_argument(
        "--outputs",
        nargs="+",
        choices=OUTPUTS,
        metavar="NAME",
        help=f"some of {', '.join(OUTPUTS)} (default: features)",
    )
    group.add_argument("--top-k", type=positive, metavar="K", help="emojis of a text (default: 5)")
    group.add_argument("--dtype", choices=DTYPES, help="of the features (default: float32)")
    group.add_argument("--strict", action="store_true", help="stop at a row without a text")
    group.add_argument("--address", metavar="A", help="of a Ray cluster (default: one on this machine)")
    group.add_argument("--gpus", type=positive, metavar="N", help="with Ray: a worker on each")


def is_job(options: argparse.Namespace) -> bool:
    """Whether the options ask for a folder of parts; ValueError if not, but some are for one alone."""
    if any(getattr(options, name, None) for name in ("shards", "rows_per_part", "engine")):
        return True
    for name in _ONLY_HERE:
        if options.command == "encode" and getattr(options, name, None):
            raise ValueError(f"--{name.replace('_', '-')} is for a folder of parts: give --shards N too")
    return False


def run_job(options: argparse.Namespace, sources: list[str]) -> None:
    """Encode files and folders of texts to a folder of parts; ValueError where options do not go together."""
    from torchmoji.batch import BatchEncoder, encode_files

    if not sources:
        raise ValueError("a folder of parts is made from files: give some, or --input FILE or FOLDER")
    if not options.out:
        raise ValueError("give --out FOLDER, where the parts go")
    for name in ("output_dir", "resume", "json"):
        if getattr(options, name):
            raise ValueError(f"--{name.replace('_', '-')} is not for a folder of parts: leave it out")
    outputs = tuple(options.outputs or ["features"])
    used = {"top_k": "emojis", "dtype": "features"}
    for name, output in used.items():
        if getattr(options, name) and output not in outputs:
            raise ValueError(f"--{name.replace('_', '-')} is for --outputs {output}: leave it out")
    if options.balance and outputs == ("features",):
        raise ValueError("--balance changes probabilities, not features: leave it out, or add --outputs")
    encoder = BatchEncoder(
        model_name(options),
        options.text_column or DEFAULT_COLUMN,
        outputs,
        options.top_k or 5,
        options.dtype or "float32",
        bool(options.strict),
        vocabulary=options.vocabulary,
        backend=options.backend,
        **asdict(read_options(options, Compute)),
    )
    report = encode_files(
        sources,
        options.out,
        encoder,
        shards=options.shards,
        rows_per_part=options.rows_per_part,
        workers=options.workers,
        engine=options.engine or "local",
        address=options.address,
        gpus=options.gpus or 0,
        encoding=options.encoding,
        force=options.force,
        progress=show_bar(options.quiet),
    )
    note(str(report), options.quiet)
