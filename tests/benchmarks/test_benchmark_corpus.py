import gzip

from support.programs import run


def test_the_program_writes_a_row_for_each_size(repository, tmp_path):
    path = tmp_path / "texts.tsv.gz"
    lines = [f"{number % 64}\tthis is text w{'abcdefghij'[number % 10]}{number}x\n" for number in range(50)]
    path.write_bytes(gzip.compress("".join(lines).encode()))
    output = tmp_path / "corpus.md"
    run(repository / "benchmarks" / "corpus.py", path, "--copies", 1, 2, "--workers", 1, "--output", output)
    table = output.read_text(encoding="utf-8").splitlines()
    assert [line.split("|")[1].strip() for line in table[2:4]] == ["50", "100"]
    assert "python benchmarks/corpus.py" in table[5]
