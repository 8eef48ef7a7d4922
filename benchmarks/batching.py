"""Find the best batch size: texts a second of `TorchMoji` for limits in rows and in tokens.

All limits take turns over the same texts in one run; medians count. TEXTS has one text a line, gzipped or
not; the weights are the default model's, as features.

Example:
    batching.py texts.txt.gz --texts 2000
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from encode import read_ids

from torchmoji import model_def
from torchmoji.create_vocab import load_vocabulary
from torchmoji.global_variables import PRETRAINED_PATH, VOCAB_PATH
from torchmoji.runtime.machine import processor, versions

ROWS = (32, 64, 128, 256, 512)
TOKENS = (1024, 2048, 4096, 8192)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("texts_file", type=Path, metavar="TEXTS", help="one text a line")
    parser.add_argument("--texts", type=int, default=2000, metavar="N", help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="default: %(default)s")
    options = parser.parse_args()
    ids = read_ids(options.texts_file, load_vocabulary(VOCAB_PATH), options.texts, 1)
    model = model_def.torchmoji_feature_encoding(PRETRAINED_PATH)
    times: dict[tuple[int, int], list[float]] = {(r, t): [] for r in ROWS for t in TOKENS}
    for number in range(options.repeats + 1):
        for limits, seconds in times.items():
            model_def.MAX_ROWS, model_def.MAX_TOKENS = limits
            started = time.perf_counter()
            model(ids)
            if number:  # the first round warms up
                seconds.append(time.perf_counter() - started)
    print(f"| rows, at most | {' | '.join(f'{tokens} tokens' for tokens in TOKENS)} |")
    print("|---" * (len(TOKENS) + 1) + "|")
    for rows in ROWS:
        speeds = [f"{len(ids) / statistics.median(times[rows, tokens]):.0f}" for tokens in TOKENS]
        print(f"| {rows} | {' | '.join(speeds)} |")
    print(f"\n{len(ids)} texts of {(ids != 0).sum(1).mean():.1f} tokens on average.")
    print(f"{processor()}, {torch.get_num_threads()} threads; {versions('torch', 'numpy')}.")


if __name__ == "__main__":
    main()
