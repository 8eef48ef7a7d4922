"""Fine-tune layer by layer (method `chain-thaw`) to find insults.

The paper's data set is kaggle-insults; without DATA the example uses
`examples/data/insults.csv`, which is made up and too small to measure a model with. New words
of the training part join the vocabulary (--extend).

Examples:
    finetune_insults_chain-thaw.py
    finetune_insults_chain-thaw.py kaggle-insults/raw.pickle --epochs 1000 --epoch-size 5000 --batch-size 250
    finetune_insults_chain-thaw.py --weights none     a new model, for comparison
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from example_helper import DATA, add_finetuning_arguments, finetuning_files

from torchmoji.cli.arguments import make_parser
from torchmoji.finetuning import finetune, load_benchmark
from torchmoji.model_def import torchmoji_transfer


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, fine-tune, print the accuracy."""
    parser = make_parser(__doc__)
    add_finetuning_arguments(parser, data=DATA / "insults.csv", epochs=4, epoch_size=256, extend=10000)
    options = parser.parse_args(arguments)

    nb_classes = 2
    try:
        weights, vocabulary = finetuning_files(options)
        data = load_benchmark(options.data, vocabulary, extend_with=options.extend)
        torch.manual_seed(options.seed)  # new layers start at random
        model = torchmoji_transfer(nb_classes, weights, extend_embedding=data["added"])
        model, accuracy = finetune(
            model,
            data["texts"],
            data["labels"],
            nb_classes,
            options.batch_size,
            method="chain-thaw" if weights else "new",
            metric="acc",
            epoch_size=options.epoch_size,
            nb_epochs=options.epochs,
            verbose=0 if options.quiet else 1,
            seed=options.seed,
        )
    except (OSError, ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))
    print(f"accuracy on {len(data['labels'][2])} test texts: {accuracy:.3f}")


if __name__ == "__main__":
    main()
