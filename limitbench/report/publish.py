"""Comparisons as files for papers and notebooks: LaTeX, Markdown, CSV, JSON lines, parquet, by the name's suffix."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from limitbench.errors import InputError, MissingExtra
from limitbench.files import atomic_write
from limitbench.report.comparison import Comparison, in_order
from limitbench.report.numbers import markdown, percent
from limitbench.report.story import role

FORMATS = (".tex", ".md", ".csv", ".jsonl", ".parquet")
_TEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    }
)  # fmt: skip


def publish(found: Sequence[Comparison], path: Path) -> None:
    """Write the comparisons. LaTeX and Markdown are rounded to a tenth of a percent; the others hold fractions as they are.

    Raises `InputError` for another suffix, `MissingExtra` for parquet without pyarrow.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise InputError(f"--out: found {path.name}, expected a name that ends in {', '.join(FORMATS)}")
    if kind == ".parquet":
        data = _parquet(found)
    elif kind == ".tex":
        data = "\n".join(latex(one) for one in found).encode()
    elif kind == ".md":
        data = "\n".join(f"### {one.dataset}\n\n{one.caption}\n\n{markdown(*_table(one))}\n" for one in found).encode()
    else:
        data = _rows(found, kind)
    with atomic_write(path) as stream:
        stream.write(data)


def _table(one: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows, rounded: the lead measure first."""
    titles = [one.headline, *(title for title in in_order(one.measures) if title != one.headline)]
    rows = [
        [row.system, row.origin, str(row.dim or ""), *(percent(row.means.get(title)) for title in titles)]
        for row in one.rows
    ]
    return ["system", "source", "dim", *titles], rows


def latex(one: Comparison) -> str:
    """A table of booktabs; the best retriever of a column in bold, unless all are equal; published rows in italics."""
    head, rows = _table(one)
    best = {}
    for number, title in enumerate(head[3:], 3):
        values = [row.means[title].mean for row in one.rows if title in row.means and role(row) == "retriever"]
        best[number] = max(values) if len(set(values)) > 1 else None
    lines = []
    for row, cells in zip(one.rows, rows, strict=True):
        shown = [cell.translate(_TEX) for cell in cells]
        if row.source == "published":
            shown[0] = rf"\textit{{{shown[0]}}}"
        for number, title in enumerate(head[3:], 3):
            if title in row.means and role(row) == "retriever" and row.means[title].mean == best[number]:
                shown[number] = rf"\textbf{{{shown[number]}}}"
        lines.append("    " + " & ".join(shown) + r" \\")
    caption = f"{one.dataset}, percent; brackets: worst and best over ties. {one.caption[0].upper()}{one.caption[1:]}."
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}", r"\begin{table}", r"  \centering",
            rf"  \caption{{{caption.translate(_TEX)}}}", rf"  \begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}", r"    \toprule",
            "    " + " & ".join(name.translate(_TEX) for name in head) + r" \\", r"    \midrule", *lines, r"    \bottomrule",
            r"  \end{tabular}", r"\end{table}", "",
        ]
    )  # fmt: skip


def _rows(found: Sequence[Comparison], kind: str) -> bytes:
    rows = [row for one in found for row in one.table_rows()]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if kind == ".jsonl":
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, keys, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(found: Sequence[Comparison]) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise MissingExtra("parquet", "pyarrow", "hub") from None
    rows = [row for one in found for row in one.table_rows()]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{key: row.get(key) for key in keys} for row in rows]), stream)
    return stream.getvalue()
