"""The helper that runs the code blocks of pages."""

import pytest
from support.snippets import Reader, agree, blocks, shown_after, with_new_outputs

PAGE = """
```csv title="a.csv"
text
```

```python
number = 2 / 3
print("two thirds:", round(number, 3))
```

```
two thirds: 0.7
```

=== "Tab"

    ```bash
    wc -l < a.csv
    ```

    ```
    9
    ```
"""


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("joy 0.731", "joy 0.74"),
        ("😋 37.4%   😍 17.6%", "😋 37.3%  😍 18.1%"),
        ("[0.04 0.37]\n", "[0.04  0.36]"),
        ("1200.5 texts", "1190.0 texts"),
        ("-0.01", "0.00"),
        ("(2, 64) float32", "(2, 64) float32"),
    ],
)
def test_outputs_agree_but_for_blanks_and_last_digits(printed, shown):
    assert agree(printed, shown)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("joy 0.73", "joy 0.68"),
        ("joy 0.73", "fear 0.73"),
        ("37.4%", "34.9%"),
        ("0.5", "0.5%"),
        ("(2, 64)", "(2, 65)"),
        ("0.5 0.5", "0.5"),
        ("😋", "😍"),
        ("True", "False"),
        ("", "0.5"),
    ],
)
def test_outputs_that_differ_do_not_agree(printed, shown):
    assert not agree(printed, shown)


def test_a_trained_model_has_more_room():
    assert agree("accuracy 0.73", "accuracy 0.80", 0.1)
    assert not agree("accuracy 0.73", "accuracy 0.94", 0.1)


def test_blocks_are_found_with_language_title_and_output():
    found = blocks(PAGE)
    assert [block.language for block in found] == ["csv", "python", "", "bash", ""]
    assert [block.line for block in found] == [2, 6, 11, 17, 21]
    assert found[0].title == "a.csv"
    assert found[3].text == "wc -l < a.csv\n"
    assert [shown_after(found, block) for block in (found[0], found[1])] == [None, found[2]]


def test_outputs_are_written_anew_where_they_differ(tmp_path):
    reader = Reader("page.md", tmp_path)
    expected = PAGE.replace("0.7\n", "0.667\n").replace("    9\n", "    1\n")
    assert with_new_outputs(PAGE, reader.run) == expected
    assert with_new_outputs(PAGE, lambda block: None) == PAGE


def test_a_page_has_one_namespace(tmp_path):
    reader = Reader("page.md", tmp_path)
    for block in blocks("```python\na = 1\n```\n\n```python\nassert a == 1\n```\n"):
        reader.run(block)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```bash\nfalse\n```\n", "page.md, line 1: exit status 1"),
        ("```bash\nfalse | true\n```\n", "page.md, line 1: exit status 1"),
        ("```bash\ntorchmoji emojize --input none.csv\n```\n", "there is no file none.csv"),
    ],
)
def test_a_command_that_fails_is_an_error(tmp_path, text, message):
    with pytest.raises(AssertionError, match=message):
        Reader("page.md", tmp_path).run(blocks(text)[0])


def test_a_language_that_cannot_be_run_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"line 1: no way to run 'ruby'"):
        Reader("page.md", tmp_path).run(blocks("```ruby\nputs 1\n```\n")[0])


def test_json_must_be_json(tmp_path):
    with pytest.raises(ValueError, match="Expecting"):
        Reader("page.md", tmp_path).run(blocks("```json\n{a}\n```\n")[0])
