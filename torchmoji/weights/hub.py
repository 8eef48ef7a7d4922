"""The original DeepMoji weights and their vocabulary: what the files are and where they can be had.

The weights are those that Felbo et al. released with DeepMoji in 2017 (Keras HDF5) and Hugging Face converted
for PyTorch. They are not part of this package. Once fetched, `torchmoji.global_variables.PRETRAINED_PATH` and
`VOCAB_PATH` name them. `torchmoji.weights.download` does the fetching, from the Hugging Face hub too, whose
client is
not imported.
"""

import os
from dataclasses import replace
from pathlib import Path

from torchmoji.global_variables import ORIGINAL_WEIGHTS_NAME, VOCABULARY_NAME, original_model_directory
from torchmoji.weights.download import DEFAULT_TIMEOUT, DownloadError, RemoteFile, download_file, verify_file

__all__ = [
    "KERAS_WEIGHTS",
    "PYTORCH_WEIGHTS",
    "VOCABULARY",
    "DownloadError",
    "RemoteFile",
    "download_file",
    "download_original",
    "verify_file",
]

_HUB = "https://huggingface.co"

PYTORCH_WEIGHTS = RemoteFile(
    name=ORIGINAL_WEIGHTS_NAME,
    size=89_616_062,
    sha256="8cbf6f7067d56aa1c2d571bb169f05fba16cea4c263c06fb3f217f42c591a978",
    sources=(
        f"{_HUB}/Uberduck/torchmoji/resolve/main/pytorch_model.bin",
        f"{_HUB}/Pendrokar/TorchMoji/resolve/main/pytorch_model.bin",
        f"{_HUB}/colinryan/hf-deepmoji/resolve/main/pytorch_model.bin",
        "https://github.com/johnpaulbin/torchMoji/releases/download/files/pytorch_model.bin",
        "https://www.dropbox.com/s/q8lax9ary32c7t9/pytorch_model.bin?dl=1",
    ),
)
"""A state dict in torch's old file format."""

KERAS_WEIGHTS = RemoteFile(
    name="deepmoji_weights.hdf5",
    size=89_610_904,
    sha256="ca663315cf4a22ced569cf928f9277ebd013c55d93a19e1d0dde001f59a72476",
    sources=("https://www.dropbox.com/s/xqarafsl6a8f9ny/deepmoji_weights.hdf5?dl=1",),
)
"""The same weights as Keras saved them; reading them takes h5py."""

VOCABULARY = RemoteFile(
    name=VOCABULARY_NAME,
    size=1_064_975,
    sha256="951e74fe4661b23e490e79d3a9496bd61d027b14b55dd99dd1ae2c1fc3e25f3e",
    sources=(
        "https://raw.githubusercontent.com/huggingface/torchMoji/master/model/vocabulary.json",
        f"{_HUB}/Uberduck/torchmoji/resolve/main/vocabulary.json",
    ),
)
"""The 50 000 words and their ids, a JSON object."""


def download_original(
    *,
    keras: bool = False,
    folder: str | os.PathLike[str] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    progress: bool = True,
) -> tuple[Path, Path]:
    """Fetch the original weights and vocabulary; what is there already and right is not fetched again.

    The sources are tried one after the other. `HF_ENDPOINT` replaces `https://huggingface.co` in them, as it
    does for `huggingface_hub`.

    Args:
        keras: Fetch the Keras HDF5 file in place of the torch file.
        folder: Where to put the files; by default `global_variables.original_model_directory()`, the only
            place where `PRETRAINED_PATH` and `VOCAB_PATH` look.
        timeout: Seconds for each source of each file.
        progress: Whether to show progress bars.

    Returns:
        The paths of the weights and of the vocabulary.

    Raises:
        DownloadError: A file could not be had; the message names each source with its fault, and the place to
            put the file by hand. Both files are tried before it is raised.
        ValueError: `timeout` is not a positive number of seconds.
        OSError: The folder cannot be written.
    """
    target = original_model_directory() if folder is None else Path(folder)
    paths = []
    errors = []
    for file in (KERAS_WEIGHTS if keras else PYTORCH_WEIGHTS, VOCABULARY):
        try:
            paths.append(download_file(_at_endpoint(file), target, timeout=timeout, progress=progress))
        except DownloadError as error:
            errors.append(str(error))
    if errors:
        raise DownloadError("\n\n".join(errors))
    weights, vocabulary = paths
    return weights, vocabulary


def _at_endpoint(file: RemoteFile) -> RemoteFile:
    """`file` with its hub sources moved to the mirror that `HF_ENDPOINT` names, where it does."""
    endpoint = (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
    sources = tuple(
        endpoint + url.removeprefix(_HUB) if url.startswith(f"{_HUB}/") else url for url in file.sources
    )
    return replace(file, sources=sources)
