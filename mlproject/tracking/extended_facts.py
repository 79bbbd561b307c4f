"""Facts of a detector that was made from a registered version, by adding and taking out training images."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproject.tracking.detector_facts import DetectorFacts
from mlproject.tracking.facts import git_tags

EXTENDS = "mlproject.extends"  # tag of a run


@dataclass(frozen=True)
class ExtendedFacts(DetectorFacts):
    """Facts of one extended version.

    Attributes:
        parent: name/number of the version that was extended.
        parent_lineage: what the registry holds of it.
        parent_parameters: every setting that its stages ran with, JSON, as its run has it.
        photos: the files of the added photos: in the project's folder they are no uncommitted change.
    """

    parent: str
    parent_lineage: Mapping[str, str]
    parent_parameters: str
    photos: tuple[Path, ...]

    def tags(self) -> dict[str, str]:
        """Add the commit that lies here; a clean tree if the parent's was clean as well."""
        git = git_tags(self.photos)
        if git and self.parent_lineage.get("git_tree") != "clean":
            git["mlproject.tree"] = "dirty"
        of_parent = {"mlproject.lock_hash": self.parent_lineage.get("lock_hash", "")}
        return {
            **super().tags(),
            **git,
            **{name: value for name, value in of_parent.items() if value},
            EXTENDS: self.parent,
            "mlflow.runName": f"{self.training['category']} {self.training['model']} extended",
            "mlflow.source.name": f"mlproject extend {self.parent}",
        }

    def locked(self) -> dict[str, Any]:
        """Return what the parent's stages ran with: dvc.lock may say something else by now."""
        found: dict[str, Any] = json.loads(self.parent_parameters or "{}")
        return found

    @property
    def lineage(self) -> dict[str, str]:
        """Say which version was extended, and by how many images; `extension.json` names them."""
        extends = self.training["extends"]
        of_parent = {"parent_files": "files", "lock_hash": "lock_hash"}
        return {
            "parent": self.parent,
            **{
                key: self.parent_lineage[name]
                for key, name in of_parent.items()
                if name in self.parent_lineage
            },
            "added": str(len(extends["added"])),
            "removed": str(len(extends["removed"])),
        }
