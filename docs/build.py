"""Build the site into build/site from the stored outputs of the notebooks: ``make site``.

Nothing is executed. Notebooks, Markdown files and figures are copied to build/site-source in the
order of the repository, prepared for the web and given to Sphinx, which takes a warning for an
error. Every lesson in ``notebooks/`` is taken, in the order of the numbers in the file names.
"""

import html
import pkgutil
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import nbformat
from sphinx.cmd.build import main as sphinx

import xraylib
from xraylib.report import without_widgets

DOCS = Path(__file__).parent
ROOT = DOCS.parent
SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
COPIED = ("notebooks", "imgs", "README.md", "CITATION.cff", "LICENSE")
#: Pages for the folders that other pages link to: title, a sentence, and what is listed.
FOLDERS = {
    "exercises": ("Exercises", "They check themselves, in JupyterLab.", "*.ipynb"),
    "solutions": ("Solutions", "Try the exercises first.", "*.ipynb"),
    "results": ("Results", "The predictions behind the figures, one row per image.", "*.csv*"),
}
FOLDER_LINK = re.compile(rf"\]\(((?:notebooks/)?(?:{'|'.join(FOLDERS)}))/?\)")
AUTOMODULE = "```{{eval-rst}}\n.. automodule:: {}\n   :members:\n```\n"
COMMENT = re.compile(r" *<!--.*?-->", re.DOTALL)


def main():
    """Prepare the sources, let Sphinx build the site, and add the page where one plays."""
    for folder in (SOURCE, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    play = DOCS / "play" / "build.py"
    stage()
    stage_index(play.exists())
    stage_library()
    if error := sphinx(["-W", "--keep-going", "-q", "-c", str(DOCS), str(SOURCE), str(SITE)]):
        sys.exit(error)
    for path in [*SITE.glob("_static/*.html"), SITE / "_modules" / "index.html"]:
        path.unlink()  # templates of the theme, and a list of modules that nothing links to
    for path in SITE.rglob("*.html"):  # a name for the arrows that unfold the navigation
        text = path.read_text(encoding="utf-8")
        write(path, text.replace("<summary><span", '<summary aria-label="Pages below"><span'))
    if play.exists():
        subprocess.run([sys.executable, play, SITE / "play"], check=True)
    print(f"Site: {SITE.relative_to(ROOT)}/index.html")


def stage():
    """Copy what the site shows, and prepare notebooks, Markdown files and folders."""
    for name in COPIED:
        (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".*", "*.py")
            shutil.copytree(ROOT / name, SOURCE / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, SOURCE / name)
    for path in SOURCE.rglob("*.md"):
        write(path, for_the_web(path.read_text(encoding="utf-8")))
    for path in SOURCE.rglob("*.ipynb"):
        stage_notebook(path)
    for name, (title, sentence, pattern) in FOLDERS.items():
        names = sorted(path.name for path in (SOURCE / "notebooks" / name).glob(pattern))
        listed = [f"- [{each}]({each})" for each in names]
        if pattern.endswith("ipynb"):  # pages of their own, folded away in the navigation
            listed = ["```{toctree}", *names, "```"]
        write(SOURCE / "notebooks" / name / "index.md", f"# {title}\n\n{sentence}\n", *listed)


def for_the_web(text):
    """Make links to folders links to their pages, and leave out comments."""
    return FOLDER_LINK.sub(r"](\1/index.md)", COMMENT.sub("", text))


def stage_notebook(path):
    """Make each stored figure a file with its alternative text, and each widget a figure."""
    notebook = without_widgets(nbformat.read(path, as_version=4))
    up = "../" * (len(path.relative_to(SOURCE).parts) - 1)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = for_the_web(cell.source)
        for number, output in enumerate(cell.get("outputs", [])):
            if "image/png" in output.get("data", {}):
                name = f"figures/{path.stem}-{cell.id}-{number}.png"
                write(SITE / name, b64decode(output.data.pop("image/png")))
                shown = output.metadata.pop("image/png")
                alt = html.escape(shown.pop("alt"))
                size = " ".join(f'{key}="{value}"' for key, value in shown.items())
                output.data["text/html"] = f'<img src="{up}{name}" alt="{alt}" {size}>'
    write(path, nbformat.writes(notebook))


def stage_index(play):
    """Write the landing page, with a link to the page where one plays if there is one."""
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    link = '<a class="button" href="play/index.html">Try the network in your browser</a>'
    write(SOURCE / "index.md", text.replace("<!-- play -->", link if play else ""))


def stage_library():
    """Write a page for each room of the library, with the docstrings of its modules."""
    rooms = {}
    for module in pkgutil.walk_packages(xraylib.__path__, "xraylib."):
        if not module.name.endswith("__main__"):
            rooms.setdefault(module.name.split(".")[1], []).append(module.name)
    for room, modules in rooms.items():
        parts = [f"## {name}\n\n{AUTOMODULE.format(name)}" for name in modules[1:]]
        title = f"# {modules[0]}\n\n{AUTOMODULE.format(modules[0])}"
        write(SOURCE / "library" / f"{room}.md", title, *parts)
    order = sorted(
        rooms, key=lambda room: xraylib.__doc__.find(f"``{room}``") % len(xraylib.__doc__)
    )
    names = [f"{room}.md" for room in order]
    introduction = AUTOMODULE.format("xraylib")
    write(
        SOURCE / "library" / "index.md", "# Library\n", introduction, "```{toctree}", *names, "```"
    )


def write(path, *parts):
    """Write parts of text one below the other, or bytes, in a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(parts[0], bytes):
        path.write_bytes(parts[0])
    else:
        path.write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
