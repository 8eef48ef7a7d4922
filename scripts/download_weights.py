"""Fetch the original DeepMoji weights and vocabulary into the user's cache, or another folder."""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from torchmoji.global_variables import original_model_directory
from torchmoji.weights.hub import DEFAULT_TIMEOUT, download_original


def main() -> int:
    """Parse the command line, fetch, say where the files are; gives the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="An interrupted download goes on where it stopped. The library uses the files by itself once"
        f" they are in the default folder, {original_model_directory()}.",
    )
    parser.add_argument(
        "--keras", action="store_true", help="the Keras HDF5 weights in place of the torch file"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar="S",
        help="seconds for each source (default: %(default)g)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars and no notes")
    parser.add_argument("--to", metavar="FOLDER", help="where to put the files")
    arguments = parser.parse_args()

    level = logging.ERROR if arguments.quiet else logging.INFO
    logging.basicConfig(level=level, format="%(message)s")
    try:
        weights, vocabulary = download_original(
            keras=arguments.keras,
            folder=arguments.to,
            timeout=arguments.timeout,
            progress=not arguments.quiet,
        )
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next run goes on where this one stopped", file=sys.stderr)
        return 130
    print(f"weights:    {weights}\nvocabulary: {vocabulary}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
