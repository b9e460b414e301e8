"""Make the links of a release's README absolute, and name the repository in its metadata: an index shows neither folder
nor branch. The release workflow runs it in its checkout, before it builds:

    python tests/packaging/index_links.py https://HOST/OWNER/NAME REVISION
"""

import re
import sys
from pathlib import Path

# A target in Markdown or in an attribute of HTML that is neither absolute nor a place on the same page.
_TARGET = re.compile(r'(?P<before>\]\(|\b(?:src|srcset|href)=")(?P<path>(?![a-z]+:|#|/)[^)"\s]+)')
_IMAGES = (".svg", ".png", ".jpg", ".gif")


def absolute(readme: str, repository: str, revision: str) -> str:
    """Return the text with its relative targets under the repository: images as files, all else as pages."""

    def replaced(match: re.Match[str]) -> str:
        view = "raw" if match["path"].partition("#")[0].endswith(_IMAGES) else "blob"
        return f"{match['before']}{repository}/{view}/{revision}/{match['path']}"

    return _TARGET.sub(replaced, readme)


def with_urls(metadata: str, repository: str, revision: str) -> str:
    """Return the text of `pyproject.toml` with the links that an index shows beside the README.

    Raises:
        ValueError: it has links already.
    """
    if "[project.urls]" in metadata:
        raise ValueError("pyproject.toml has [project.urls] already")
    pages = {
        "Source": repository,
        "Issues": f"{repository}/issues",
        "Documentation": f"{repository}/blob/{revision}/docs/index.md",
        "Changelog": f"{repository}/blob/{revision}/CHANGELOG.md",
    }
    return metadata + "\n[project.urls]\n" + "".join(f'{name} = "{url}"\n' for name, url in pages.items())


def main() -> None:
    """Rewrite both files where they stand."""
    repository, revision = sys.argv[1:]
    for path, change in ((Path("README.md"), absolute), (Path("pyproject.toml"), with_urls)):
        path.write_text(change(path.read_text(encoding="utf-8"), repository, revision), encoding="utf-8")


if __name__ == "__main__":
    main()
