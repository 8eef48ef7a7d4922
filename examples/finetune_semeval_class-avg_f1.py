"""Fine-tune for several emotions and score with the F1 averaged over them.

For each class a model of two classes, this one or another, starts from the same weights; only
its output layer trains (method `last`). The paper's data set is SE0714, where a text may have
several emotions; without DATA the example uses `examples/data/emotions.csv`, which is made up
and too small to measure a model with.

Examples:
    finetune_semeval_class-avg_f1.py
    finetune_semeval_class-avg_f1.py SE0714/raw.pickle --epochs 1000 --epoch-size 5000 --batch-size 250
    finetune_semeval_class-avg_f1.py --weights none     a new model, for comparison
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from example_helper import DATA, add_finetuning_arguments, finetuning_files

from torchmoji.class_avg_finetuning import class_avg_finetune
from torchmoji.cli.arguments import make_parser
from torchmoji.finetuning import load_benchmark
from torchmoji.model_def import torchmoji_transfer


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, fine-tune, print the F1."""
    parser = make_parser(__doc__)
    add_finetuning_arguments(parser, data=DATA / "emotions.csv", epochs=10, epoch_size=256)
    options = parser.parse_args(arguments)

    try:
        weights, vocabulary = finetuning_files(options)
        data = load_benchmark(options.data, vocabulary, extend_with=options.extend)
        labels = data["labels"][0]
        nb_classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
        # 2, whatever the data: each class is told from the others in a round of its own.
        torch.manual_seed(options.seed)  # new layers start at random
        model = torchmoji_transfer(2, weights, extend_embedding=data["added"])
        model, f1 = class_avg_finetune(
            model,
            data["texts"],
            data["labels"],
            nb_classes,
            options.batch_size,
            method="last" if weights else "new",
            epoch_size=options.epoch_size,
            nb_epochs=options.epochs,
            verbose=not options.quiet,
            seed=options.seed,
        )
    except (OSError, ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))
    names = ", ".join(data.get("classes", map(str, range(nb_classes))))
    print(f"F1 averaged over the classes {names}, on {len(data['labels'][2])} test texts: {f1:.3f}")


if __name__ == "__main__":
    main()
