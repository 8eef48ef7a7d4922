"""Models in folders: `config.json`, `vocabulary.json`, `model.safetensors` and a model card; nothing is run.

A name is looked up as the shipped model ("default"), the original weights ("deepmoji"), a folder, a file or a
repository of the Hugging Face hub, in this order.
"""

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from reprlib import repr as short
from typing import Any, NamedTuple

from torchmoji import __version__
from torchmoji.balancing import checked_facts
from torchmoji.create_vocab import load_vocabulary, spellings_path, vocabulary_files
from torchmoji.emojis import EMOJIS
from torchmoji.files.atomic import atomic_folder, atomic_path, atomic_write_text, read_json, sha256, writing
from torchmoji.global_variables import ORIGINAL_WEIGHTS_NAME, default_model_directory
from torchmoji.weights.layers import WEIGHTS_NAME, weights_in

CONFIG_NAME = "config.json"
VOCABULARY_NAME = "vocabulary.json"
CARD_NAME = "README.md"
SPELLINGS_NAME = spellings_path(VOCABULARY_NAME).name
FILE_NAMES = (CONFIG_NAME, VOCABULARY_NAME, SPELLINGS_NAME, WEIGHTS_NAME, CARD_NAME)
FILES = "files"
"""The key of `config.json` for the sizes and digests of the files that were written with it."""

logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w.-]+)?")


class Files(NamedTuple):
    """What a pipeline is loaded from."""

    weights: Path
    vocabulary: dict[str, int] | None
    config: dict[str, Any]


def find(
    name: str | os.PathLike[str], vocabulary: Mapping[str, int] | str | os.PathLike[str] | None = None
) -> Files:
    """Find a model's files, fetching them where they are elsewhere.

    Args:
        name: "default", "deepmoji", a folder, a weights or ONNX file, or a hub id such as "user/model", with
            "user/model@revision" for one revision.
        vocabulary: Word -> id or a file; needed with weights alone.

    Raises:
        FileNotFoundError: There is no such model; the message names the possibilities.
        OSError: Files could not be fetched.
        ValueError: A file is damaged, or the vocabulary is missing.
    """
    given = load_vocabulary(vocabulary) if isinstance(vocabulary, str | os.PathLike) else vocabulary
    own = None if given is None else dict(given)
    text = os.fspath(name)
    if text == "default":
        return _in_folder(default_model_directory(), own)
    if text == "deepmoji":
        from torchmoji.weights.hub import download_original

        weights, path = download_original()
        return Files(weights, own or load_vocabulary(path), {"classes": list(EMOJIS)})
    path = Path(os.path.expanduser(text))
    if path.is_dir():
        return _in_folder(path, own)
    if path.is_file():
        if own is None and path.suffix != ".onnx":
            raise ValueError(f"{path} has no vocabulary: give the one of these weights as vocabulary=")
        return Files(path, own, {})
    if _HUB_ID.fullmatch(text):
        return _in_folder(_from_hub(text), own)
    raise FileNotFoundError(
        f"there is no model {text!r}: use 'default', 'deepmoji', a folder of save_pretrained, "
        "a weights file with vocabulary=, or the id of a model on the Hugging Face hub (user/name)"
    )


def _in_folder(folder: Path, vocabulary: dict[str, int] | None) -> Files:
    weights = weights_in(folder)
    missing = [
        path.name
        for path in (folder / CONFIG_NAME, weights, folder / VOCABULARY_NAME)
        if not path.is_file()
        and not (path.name == VOCABULARY_NAME and vocabulary)
        and not (path.name == CONFIG_NAME and weights.name == ORIGINAL_WEIGHTS_NAME)
    ]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)}: MojiPipeline.save_pretrained writes a model's folder"
        )
    config = _read_config(folder / CONFIG_NAME) if (folder / CONFIG_NAME).is_file() else {}
    if FILES in config:
        own = () if vocabulary else (VOCABULARY_NAME, SPELLINGS_NAME)
        _compare(folder, config[FILES], [weights.name, *own])
    return Files(weights, vocabulary or load_vocabulary(folder / VOCABULARY_NAME), config)


def _digest(path: Path) -> dict[str, Any] | None:
    """What `config.json` says of a file beside it; None where there is none."""
    return {"size": path.stat().st_size, "sha256": sha256(path)} if path.is_file() else None


def _compare(folder: Path, written: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse files that `save` did not write together with `config.json`: damaged ones, or of two models."""
    files = {name: written.get(name) for name in [*names, *written] if name != CARD_NAME}
    for name, expected in files.items():
        path = folder / name
        if name not in names and not path.is_file():  # one that others read, such as a classifier's labels
            continue
        if _digest(path) != expected:
            advice = "an interrupted save or download: save or download the whole folder again"
            if folder == default_model_directory():
                advice = "a change to the installed package: reinstall torchmoji"
            raise ValueError(f"{path} is not the file that {CONFIG_NAME} was written with, as after {advice}")


def _read_config(path: Path) -> dict[str, Any]:
    """Read and check a configuration; keys that are not known are left alone."""
    try:
        config = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): write the model's folder again") from error
    if not isinstance(config, dict) or config.get("model_type") != "torchmoji":
        raise ValueError(f'{path} is not that of a torchMoji model: it must have "model_type": "torchmoji"')
    config.pop("vocabulary", None)  # which has a file of its own
    files = config.get(FILES, {})
    if not isinstance(files, dict) or any(Path(name).name != name for name in files):
        raise ValueError(
            f'{path}: "{FILES}" must be an object of names of files beside it, got {short(files)}'
        )
    try:
        checked_facts(config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return config


def _from_hub(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    identity, _, revision = repository.partition("@")
    try:
        for names in (FILE_NAMES, (ORIGINAL_WEIGHTS_NAME, VOCABULARY_NAME)):  # these where those are missing
            folder = snapshot_download(identity, revision=revision or None, allow_patterns=list(names))
            if Path(folder, WEIGHTS_NAME).is_file():
                break
        return Path(folder)
    except LocalEntryNotFoundError as error:
        raise OSError(
            f"cannot reach the Hugging Face hub for {repository!r}, and it is not in the cache: check the "
            "connection, fetch it on another machine, or use 'default', which needs no network"
        ) from error
    except HFValidationError as error:
        raise FileNotFoundError(f"{repository!r} is no folder, and no name on the hub ({error})") from error
    except HfHubHTTPError as error:
        reason, status = str(error).splitlines()[0], getattr(error.response, "status_code", None)
        if status is None or status == 429 or status >= 500:
            raise OSError(f"the hub does not give {repository!r} now ({reason}): try again") from error
        raise FileNotFoundError(
            f"the Hugging Face hub has no {repository!r} for you ({reason}): "
            "check the name; a private model needs a token (HF_TOKEN)"
        ) from error
    except OSError:
        raise
    except Exception as error:  # of the client for HTTP that this version of it uses, or no JSON
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise OSError(
            f"cannot fetch {repository!r} from the Hugging Face hub ({reason:.300}): check the connection "
            "and HF_ENDPOINT, where it is set"
        ) from error


def push(folder: Path, repository: str, private: bool | None, token: str | None, message: str) -> str:
    """Put a folder into a repository of the Hugging Face hub; see `MojiPipeline.push_to_hub`."""
    from huggingface_hub import HfApi

    try:
        api = HfApi(token=token)
        name = api.create_repo(repository, private=private, exist_ok=True).repo_id
        kept = [CARD_NAME] if api.file_exists(name, CARD_NAME) else []  # a person may have completed it
        commit = api.upload_folder(
            repo_id=name, folder_path=folder, commit_message=message, ignore_patterns=kept
        )
    except ValueError:
        raise
    except Exception as error:  # of the hub, or of the client for HTTP that this version of it uses
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise OSError(
            f"cannot put the model into {repository!r} on the Hugging Face hub ({reason}): check the "
            "connection and the name, and log in with `hf auth login` or give a token that may write"
        ) from error
    return str(commit.commit_url)


def save(
    folder: str | os.PathLike[str],
    state_dict: Mapping[str, Any],
    vocabulary: Mapping[str, int],
    config: Mapping[str, Any],
    card: str | None = None,
    *,
    int8: bool = False,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write a model's folder: a new one whole or not at all; in an old one all files are written, then named.

    Args:
        folder: Where; other files in it stay, and so does a model card that `save` did not write.
        state_dict: The weights.
        vocabulary: Word -> id.
        config: Sizes, classes, settings.
        card: The model card, Markdown; without it none is written.
        int8: Store matrices as int8, see `torchmoji.weights.formats.save_quantized`.
        extra: Name -> text of more files.

    Raises:
        NotADirectoryError: There is a file of that name.
    """
    from torchmoji.weights.formats import save_quantized, save_state_dict

    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target} is a file: give a folder")
    texts = dict(extra or {})
    for path, text in vocabulary_files(vocabulary, Path(VOCABULARY_NAME)).items():
        if text is not None:
            texts[path.name] = text
    is_ours = _is_our_card(target)
    if card is not None and is_ours:
        texts[CARD_NAME] = card

    def write(into: Path) -> None:
        with ExitStack() as files:  # they get their names at the end, the last one first
            names = (*texts, WEIGHTS_NAME, CONFIG_NAME)  # a new file never has an old configuration
            paths = {name: files.enter_context(atomic_path(into / name)) for name in names}
            (save_quantized if int8 else save_state_dict)(state_dict, paths[WEIGHTS_NAME])
            for name, text in texts.items():
                with writing(paths[name]):
                    paths[name].write_text(text, encoding="utf-8")
            written = {name: _digest(paths[name]) for name in (WEIGHTS_NAME, *texts)}
            if card is None and is_ours and (into / CARD_NAME).exists():
                written[CARD_NAME] = _digest(into / CARD_NAME)
            about = {"model_type": "torchmoji", "version": __version__, **config, FILES: written}
            with writing(paths[CONFIG_NAME]):
                paths[CONFIG_NAME].write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        if SPELLINGS_NAME not in texts:
            (into / SPELLINGS_NAME).unlink(missing_ok=True)

    if target.exists():
        write(target)
        return
    with atomic_folder(target) as new:
        write(new)


def write_card(folder: Path, card: str) -> None:
    """Write the model card of a folder of `save`, unless a person wrote or changed the one that is there."""
    if _is_our_card(folder):
        atomic_write_text(folder / CARD_NAME, card)
        config = _read_config(folder / CONFIG_NAME)
        if FILES in config:  # else nothing is compared
            config[FILES][CARD_NAME] = _digest(folder / CARD_NAME)
            atomic_write_text(folder / CONFIG_NAME, json.dumps(config, indent=1) + "\n")


def _is_our_card(folder: Path) -> bool:
    """Whether the folder has no card, or one that nobody has changed since it was written here."""
    if not (folder / CARD_NAME).exists():
        return True
    try:
        written = _read_config(folder / CONFIG_NAME).get(FILES, {})
    except (OSError, ValueError):
        written = {}
    is_ours = CARD_NAME in written and _digest(folder / CARD_NAME) == written[CARD_NAME]
    if not is_ours:
        logger.warning("%s stays as it is: see whether it is right for this model", folder / CARD_NAME)
    return is_ours
