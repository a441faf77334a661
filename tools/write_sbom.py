"""Write a software bill of materials (CycloneDX 1.6, JSON) of the locked packages. Standard library only.

    .venv/bin/python tools/write_sbom.py dist/marionet-0.1.0.cdx.json

Names, versions and hashes come from requirements/core.txt and the extension's wheel list; the licence of a package
comes from its installed metadata, and is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def licence_of(package: str) -> str | None:
    """The licence that an installed package states, in one line."""
    try:
        about: Any = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return None
    stated = about.get("License-Expression") or about.get("License") or ""
    if not stated or len(stated) > 80 or "\n" in stated:
        classifiers = about.get_all("Classifier") or []
        stated = "; ".join(one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::"))
    return stated or None


def components(lock: Path, scope: str) -> list[dict[str, object]]:
    """One CycloneDX component per package of a lock file."""
    found = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8")):
        head = re.match(r"([A-Za-z0-9_.-]+)==([^ \\]+)", block)
        if head is None:
            continue
        name, version = head.groups()
        component: dict[str, object] = {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "scope": scope,
            "hashes": [{"alg": "SHA-256", "content": one} for one in re.findall(r"sha256:([0-9a-f]{64})", block)],
        }
        licence = licence_of(name)
        if licence:
            component["licenses"] = [{"license": {"name": licence}}]
        found.append(component)
    return found


def bill_of_materials() -> dict[str, object]:
    """The whole document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    subject = {
        "type": "application",
        "name": project["name"],
        "version": project["version"],
        "licenses": [{"license": {"id": project["license"]}}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": components(ROOT / "requirements" / "core.txt", "required"),
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    bill = bill_of_materials()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
    print(f"{output}: {len(bill['components'])} packages")  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
