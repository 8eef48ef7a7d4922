"""examples/notebooks/: every cell runs, and prints what is stored.

After a change, this stores the outputs anew:

    jupyter execute --inplace --NotebookClient.record_timing=False examples/notebooks/*.ipynb
"""

import re

import nbformat
import pytest
from nbclient import NotebookClient
from support.snippets import REPOSITORY, ROUNDING, TRAINING, agree

FOLDER = REPOSITORY / "examples" / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
TRAINS = ("finetune_your_own.ipynb",)
"""Those with scores of models that they train."""
MOST_BYTES = 500_000


def stored(name):
    return nbformat.read(FOLDER / name, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
    """What a cell prints on standard output."""
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def kinds(cell):
    """Of what kinds a cell's results are: text, HTML, pictures."""
    return [sorted(output.data) for output in cell.outputs if "data" in output]


def test_there_are_notebooks():
    assert NAMES == ["emotions_in_texts.ipynb", "finetune_your_own.ipynb"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_with_its_outputs(name):
    notebook = stored(name)
    nbformat.validate(notebook)
    assert (FOLDER / name).stat().st_size < MOST_BYTES
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/png" in kind for cell in cells for kind in kinds(cell))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert not re.search(r"/home/|/root/|/work/|/tmp/|\\\\Users", (FOLDER / name).read_text("utf-8"))


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_gives_what_is_stored(name, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel has its own
    notebook = stored(name)
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    tolerance = TRAINING if name in TRAINS else ROUNDING
    for new, old in zip(code_cells(notebook), code_cells(stored(name)), strict=True):
        assert kinds(new) == kinds(old)
        assert agree(printed(new), printed(old), tolerance), f"shows\n{printed(old)}not\n{printed(new)}"
