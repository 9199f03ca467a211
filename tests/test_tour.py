"""The tour, docs/tour.py: a notebook that is kept as a script."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="the extra `docs` is not installed")

TOUR = Path(__file__).parent.parent / "docs" / "tour.py"


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)?", text))


def test_it_is_a_notebook_whose_code_is_explained_and_whose_prose_quotes_no_result() -> None:
    import nbformat

    notebook = jupytext.read(TOUR)
    nbformat.validate(notebook)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds == ["markdown", "code"] * (len(kinds) // 2) and 14 <= len(kinds) <= 18
    prose = "\n".join(cell.source for cell in notebook.cells[::2])
    asked = numbers(notebook.cells[1].source)
    assert {"40", "3"} <= numbers(prose) & asked
    assert numbers(prose) <= asked | {"1"}  # λ = 1 is what the advice is compared with


def test_it_answers_its_question(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It asserts what its prose says; its two pictures can be drawn."""
    import matplotlib.pyplot as plt

    monkeypatch.setenv("MPLBACKEND", "Agg")
    plt.switch_backend("Agg")
    names = runpy.run_path(str(TOUR))
    try:
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        assert len(plt.get_fignums()) == 2
    finally:
        plt.close("all")
    out = capsys.readouterr().out
    assert f"{names['WORKERS']} workers with this network: {names['ADVISED']} steps at a time." in out
    assert f"40 workers with {names['ADVISED']} local steps" in out
