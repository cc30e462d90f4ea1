"""Draws the pictures of the lecture's pages, beside them or into another folder.

uv run python experiments/lecture/draw_pictures.py
uv run python experiments/lecture/draw_pictures.py FOLDER 1_filter.py 2_network.py
"""

import runpy
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent


def draw(page: Path, folder: Path) -> list[Path]:
    """Runs a page and writes each figure that it made into the folder, under the figure's name."""
    plt.close("all")
    runpy.run_path(str(page))
    pictures = []
    for name in plt.get_figlabels():
        pictures.append(folder / f"{name}.png")
        plt.figure(name).savefig(pictures[-1], dpi=80)
    plt.close("all")
    return pictures


if __name__ == "__main__":
    folder, *names = sys.argv[1:] or [str(HERE)]
    for page in [HERE / name for name in names] or sorted(HERE.glob("[0-9]*.py")):
        print(f"{page.name}: {', '.join(str(path) for path in draw(page, Path(folder)))}")
