"""Convert the weights of a model between Keras HDF5, torch and safetensors files, of any layer sizes.

The format of IN is read from its content, that of OUT from its ending. OUT is read back and compared with IN,
layer by layer, before it gets its name. `torchmoji convert` does the same.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from torchmoji.weights.formats import FILE_ENDINGS, describe, rewrite


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; returns 0 when all went well, 1 with the reason on standard error when not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", metavar="IN", type=Path, help="file to read; its content says what it is")
    parser.add_argument("target", metavar="OUT", type=Path, help=f"file to write: {', '.join(FILE_ENDINGS)}")
    parser.add_argument("--force", action="store_true", help="overwrite OUT where it exists")
    options = parser.parse_args(arguments)
    try:
        weights = rewrite(options.source, options.target, options.force)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(describe(weights, options.source, options.target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
