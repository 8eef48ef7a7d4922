"""The search for templates among labelled texts."""

import gzip
import sys

import repeats


def test_a_template_is_found_and_lines_to_leave_out_are_not_counted(tmp_path, monkeypatch, capsys):
    lines = ["3\tGood morning to all of you"] * 9
    lines += ["4\tgood morning to all", "3,5\tsomething else \U0001f996"]
    lines += ["7\tleft out in any case"] * 20
    (tmp_path / "train.tsv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (tmp_path / "drop_train.txt.gz").write_bytes(gzip.compress(b"\n".join(b"%d" % n for n in range(11, 31))))
    monkeypatch.setattr(sys, "argv", ["repeats.py", str(tmp_path), "--texts", "10"])
    repeats.main()
    assert capsys.readouterr().out.splitlines() == [
        "11 texts: 1 with several of the emojis, 1 with other emojis in the text",
        "10 texts, 90% \U0001f62d: good morning to all",
    ]
