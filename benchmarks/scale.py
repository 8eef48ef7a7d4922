"""Time jobs of many texts: the plain pipeline, processes and Ray, with rows a second and the peak of memory.

TEXTS is a file of texts, which is repeated until there are enough rows; a text is computed once within 2048,
so that it should have some thousands of different ones. Each run is a program of its own: its seconds are
those from its start to its end, with loading the model and starting processes or Ray. "plain" is
`predict_proba` over the file in one process with all threads, and writes nothing; the others write the
likeliest emojis of each text as 20 Parquet parts, each worker with its share of the cores. Memory is that of
all processes (PSS, so that what they share counts once), read once a second.

Examples:
    scale.py train_text.txt.gz --rows 10000 100000
    scale.py train_text.txt.gz --rows 10000 --sizes
    scale.py train_text.txt.gz --rows 1000000 --how plain ray-2 --precision int8 --output scale.md
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.report import write_report
from torchmoji.files.tables import read_texts, write_npy, write_rows
from torchmoji.runtime.machine import processor, versions

HOW = ("plain", "processes-1", "processes-2", "ray-1", "ray-2")
SHARDS = 20


def run(how: str, texts: Path, folder: Path, model: str, precision: str) -> None:
    """What is measured."""
    engine, _, workers = how.partition("-")
    if engine == "plain":
        from torchmoji import MojiPipeline

        pipeline = MojiPipeline.from_pretrained(model, precision=precision)
        print(sum(1 for _ in pipeline.predict_proba(read_texts(texts))))
    else:
        from torchmoji.batch import BatchEncoder, encode_files

        report = encode_files(
            texts,
            folder,
            BatchEncoder(model, precision=precision),
            shards=SHARDS,
            workers=int(workers),
            engine="ray" if engine == "ray" else "local",
            address="local" if engine == "ray" else None,
        )
        print(report.rows_out)


def memory(root: int) -> int:
    """The bytes of a process and all that it has started."""
    parents, total = {}, 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    for process in parents:
        ancestor = process
        while ancestor != root and ancestor in parents:
            ancestor = parents[ancestor]
        if ancestor == root:
            with suppress(OSError, StopIteration):
                lines = (Path("/proc") / str(process) / "smaps_rollup").read_text().splitlines()
                total += 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return total


def measure(how: str, texts: Path, rows: int, model: str, precision: str) -> tuple[float, int]:
    """Seconds and the peak of memory of a run.

    Raises:
        RuntimeError: It failed, or lost rows.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        command = [sys.executable, __file__, str(texts), "--model", model, "--precision", precision]
        command += ["--run", how, "--output", f"{folder}/out"]
        start, peak = time.perf_counter(), 0
        process = subprocess.Popen(command, stdout=output)
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
        seconds = time.perf_counter() - start
        output.seek(0)
        told = output.read().split()
        if process.returncode or str(rows) not in told:
            raise RuntimeError(f"{how} gave {told} in place of {rows} rows (status {process.returncode})")
    return seconds, peak


def sizes(file: Path, model: str, rows: int) -> str:
    """A table of the bytes that a row takes in each format, texts included where the format has them."""
    from torchmoji import MojiPipeline
    from torchmoji.batch import BatchEncoder, encode_files

    texts = list(islice(read_texts(file), rows))
    lines = ["| output | bytes a row |", "|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(({"text": text} for text in texts), folder / "texts.csv")
        found = {"texts alone, CSV": folder / "texts.csv"}
        for output, dtype in (
            ("emojis", "float32"),
            ("emotions", "float32"),
            ("probabilities", "float32"),
            ("features", "float16"),
            ("features", "float32"),
        ):
            about = f"{output}, {dtype}, Parquet"
            encoder = BatchEncoder(model, outputs=(output,), dtype=dtype)
            encode_files(folder / "texts.csv", folder / about, encoder, shards=1)
            found[about] = folder / about / "part-00000-of-00001.parquet"
        features = MojiPipeline.from_pretrained(model).encode(texts)
        found["features, float32, .npy"] = folder / "features.npy"
        write_npy(features, features.shape[1], folder / "features.npy")
        for kind in (".jsonl", ".csv"):
            found[f"features, {kind}"] = folder / f"features{kind}"
            pairs = zip(texts, features, strict=True)
            records = ({"text": text, "features": row.tolist()} for text, row in pairs)
            write_rows(records, folder / f"features{kind}")
        lines += [f"| {about} | {path.stat().st_size / len(texts):.0f} |" for about, path in found.items()]
    return "\n".join([*lines, "", f"{len(texts)} texts. {versions('numpy', 'pyarrow')}.", ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all, and write a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path, help="a file of texts")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N")
    parser.add_argument("--how", nargs="+", choices=HOW, default=HOW, metavar="HOW", help=", ".join(HOW))
    parser.add_argument("--model", default="default", help="a name or a folder")
    parser.add_argument("--precision", default="float32", help="float32 or int8 (default: float32)")
    parser.add_argument("--sizes", action="store_true", help="measure bytes a row of each output instead")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the report (default: standard output)")
    parser.add_argument("--run", choices=HOW, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.run:
        run(options.run, options.texts, options.output, options.model, options.precision)
        return
    if options.sizes:
        write_report(sizes(options.texts, options.model, options.rows[0]), options.output)
        return
    lines = ["| rows | how | seconds | rows a second | of plain | memory, MB |", "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            texts = Path(folder) / f"{rows}.csv"
            write_rows(
                ({"text": text} for text in islice(cycle(list(read_texts(options.texts))), rows)), texts
            )
            plain = None
            for how in options.how:
                seconds, peak = measure(how, texts, rows, options.model, options.precision)
                plain = seconds if how == "plain" else plain
                share = f"{plain / seconds:.2f}" if plain else ""
                lines.append(
                    f"| {rows} | {how} | {seconds:.1f} | {rows / seconds:.0f} | {share} | {peak / 1e6:.0f} |"
                )
                print(lines[-1], file=sys.stderr, flush=True)
    about = (
        f"{options.precision}. {processor()}; {versions('torch', 'numpy', 'onnxruntime', 'pyarrow', 'ray')}."
    )
    write_report("\n".join([*lines, "", about, ""]), options.output)


if __name__ == "__main__":
    main()
