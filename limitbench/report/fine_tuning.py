"""What fine-tuning mends, as a figure: a measure against the dimension, a panel a dataset, beside the LIMIT paper's Table 3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limitbench.evaluation import FineTuned
from limitbench.report.reference import paper
from limitbench.report.saved import require_format, save
from limitbench.report.svg import COLOURS, GRID, INK, drawing, text_of


def draw(found: Sequence[FineTuned], measure: str, path: Path) -> None:
    """Write the figure. Raises `InputError` for another suffix, `StorageError` where it cannot be written."""
    require_format(path)
    datasets = list(dict.fromkeys(row.result.dataset.name for row in found))
    trained = list(dict.fromkeys(row.trained_on for row in found))
    dims = sorted({row.dim for row in found})
    with drawing(3.4 * len(datasets) + 0.6, 3.8) as figure:
        panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
        for ax, dataset in zip(panels, datasets, strict=True):
            for number, source in enumerate(trained):
                mine = sorted(
                    (row.dim, 100 * row.result.measures[measure].mean)
                    for row in found
                    if (row.trained_on, row.result.dataset.name) == (source, dataset)
                )
                name = "not trained" if source is None else f"trained on {source}"
                ax.plot(
                    *zip(*mine, strict=True),
                    "o-",
                    ms=4,
                    lw=1.4,
                    color=COLOURS[number % len(COLOURS)],
                    label=text_of(name),
                )
            if dataset.startswith("limit"):
                _published(ax, measure, dims)
            ax.set_xscale("log", base=2)
            ax.set_xticks(dims, [str(dim) for dim in dims])
            ax.minorticks_off()
            ax.grid(True, color=GRID)
            ax.set_xlabel("dimensions")
            ax.set_title(text_of(dataset))
        panels[0].set_ylabel(f"{measure}, %")
        handles = {
            label: handle for ax in panels for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(3, len(handles)))
        save(figure, path, "fine-tuning", f"{measure} against dimension, by what a model was trained on")


def _published(ax: object, measure: str, dims: Sequence[int]) -> None:
    """The paper's model, on its own LIMIT: dashed for its test split, dotted for its train split."""
    rows = paper()["table3_finetuning_limit"]
    for source, line in (("Test", "--"), ("Train", ":")):
        points = [
            (row["dim"], row[measure.lower()])
            for row in rows
            if row["trained_on"] == source
            and row.get(measure.lower()) is not None
            and min(dims) <= row["dim"] <= max(dims)
        ]
        if points:
            label = f"paper's model and LIMIT, trained on {source.lower()}"
            ax.plot(*zip(*points, strict=True), line, lw=1.4, color=INK, label=label)  # type: ignore[attr-defined]
