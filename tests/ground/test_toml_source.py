"""The one reader of TOML: what a file says, and the line of every key of it."""

from decimal import Decimal
from pathlib import Path

import pytest

from orket.errors import UsageError
from orket.limits import exact_number
from orket.toml_source import find_lines, read_toml
from tests.places import ROOT


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            'a = """\n[tasks]\nid = 1\n"""\n[[tasks]]\nid = 2\n',
            {("a",): 1, ("tasks", 0): 5, ("tasks", 0, "id"): 6},
            id="a header inside a text of several lines is text",
        ),
        pytest.param(
            "a = '''\n[[tasks]]\n'''\n[[tasks]]\nid = 1\n[[tasks]]\nid = 2\n",
            {("tasks", 0): 4, ("tasks", 1): 6, ("tasks", 1, "id"): 7},
            id="so it is inside a literal text",
        ),
        pytest.param(
            'a = """x \\""" [b]\n\\\\"""\nc = 1\n',
            {("a",): 1, ("c",): 3},
            id="an escaped quote ends no text",
        ),
        pytest.param(
            'a = """two quotes: ""\n"""""\nb = 1\n',
            {("a",): 1, ("b",): 3},
            id="a text may end with quotes of its own",
        ),
        pytest.param(
            "a = 'x\u2028y\x85z'\nb = '\u2029'\n",
            {("a",): 1, ("b",): 2},
            id="separators of Unicode end no line",
        ),
        pytest.param(
            "a = 1\r\n[t]\r\nb = '''\r\n[u]\r\n'''\r\nc = 2\r\n",
            {("t",): 2, ("t", "b"): 3, ("t", "c"): 6},
            id="lines of Windows",
        ),
        pytest.param(
            "a.b.c = 1\n\n[t]\n x . 'y z' = 2\n",
            {("a", "b", "c"): 1, ("a",): 1, ("t", "x"): 4, ("t", "x", "y z"): 4},
            id="dotted keys, each part",
        ),
        pytest.param(
            "p = { a = 1, b = [\n  { c = 2 },\n  { c = 3 },\n] }\nq = 4\n",
            {("p", "a"): 1, ("p", "b", 1, "c"): 3, ("q",): 5},
            id="inline tables and lists of them",
        ),
        pytest.param(
            "a = [\n  '[x]', # ]\n  '''\n]\n''',\n]\nb = 1\n",
            {("a", 0): 2, ("a", 1): 3, ("b",): 7},
            id="brackets in texts and comments close nothing",
        ),
        pytest.param(
            "[[m]]\n[m.n]\nk = 1\n[[m.l]]\n[[m.l]]\nk = 2\n[[m]]\n[[m.l]]\nk = 3\n",
            {
                ("m", 0, "n", "k"): 3,
                ("m", 0, "l", 1, "k"): 6,
                ("m", 1, "l", 0): 8,
                ("m", 1, "l", 0, "k"): 9,
            },
            id="arrays of tables inside arrays of tables",
        ),
        pytest.param(
            '"a.b" = 1\n[\'c.d\'."e\\"f" ] # [g]\nh = 2\n',
            {("a.b",): 1, ("c.d", 'e"f'): 2, ("c.d", 'e"f', "h"): 3},
            id="quoted keys hold dots and escapes",
        ),
        pytest.param(
            "a = 1979-05-27 07:32:00\nb = -inf\nc = true # d = 1\ne = 1_000.5e3",
            {("a",): 1, ("b",): 2, ("c",): 3, ("e",): 4},
            id="plain values, and no newline at the end",
        ),
    ],
)
def test_the_line_of_every_key_is_found(
    tmp_path: Path, text: str, lines: dict[tuple[str | int, ...], int]
):
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode())
    source = read_toml(path)
    assert {key: source.lines.get(key) for key in lines} == lines
    assert ("d",) not in source.lines
    assert ("g",) not in source.lines


def test_each_key_that_was_read_has_a_line():
    """Every value of the shipped files, and no key that is not in them."""

    def keys(value, path=()):
        if path:
            yield path
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from keys(inner, (*path, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                yield from keys(inner, (*path, index))

    files = sorted((ROOT / "presets").rglob("*.toml"))
    assert len(files) > 10
    for path in files:
        source = read_toml(path)
        assert set(source.lines) == set(keys(source.data)), path


def test_the_line_of_what_is_not_there_is_that_of_its_table(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("a = 1\n[[m]]\nid = 1\n[[m]]\nid = 2\n[m.n.x]\nfile = 'f'\n")
    source = read_toml(path)
    assert source.line_of("m", 1, "n", "x", "absent") == 6
    assert source.line_of("m", 1, "absent") == 4
    assert source.line_of("nothing") == 1
    assert str(source.error("is odd", "m", 1, "id")) == f"{path}:5: is odd"


def test_decimals_stay_exact_where_it_is_asked(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("a = 0.1\n")
    assert read_toml(path).data == {"a": 0.1}
    assert read_toml(path, parse_float=Decimal).data == {"a": Decimal("0.1")}


def test_a_mark_before_the_text_is_no_part_of_it(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes("\ufeffa = 1\n".encode())
    assert read_toml(path).data == {"a": 1}


BEYOND = "a number beyond any figure: write a smaller one"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = 1\nb = = 2\n", ":2: not TOML: Invalid value"),
        (b"a = 1\nb = '\x80'\n", ":2: not UTF-8 at byte 11: save it as UTF-8"),
        ("a = 1\n".encode("utf-16"), ": is UTF-16: save it as UTF-8"),
        (b"a = " + b"[" * 9999, ": not TOML: nested too deeply"),
        (b"a = 1\nb = [\n1,\n", ":4: not TOML: Invalid value"),
        (b"a = 1\nb = 1e999999999\n", f":2: {BEYOND}"),
        (b"a = 1.5\n\nb = -1_0.0E-9_999\n", f":3: {BEYOND}"),
        (b"a = 1\nb = " + b"9" * 5000, f":2: {BEYOND}"),
    ],
)
def test_what_is_no_toml_is_told_with_its_place(tmp_path, content, said):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_toml(path, exact_number)
    assert str(caught.value) == f"{path}{said}"


def test_lines_are_found_in_a_long_file_at_once():
    text = "".join(f'[[t]]\nk = """\n{"x" * 500}\n"""\n' for _ in range(5000))
    lines = find_lines(text)
    assert lines["t", 4999, "k"] == 4999 * 4 + 2
