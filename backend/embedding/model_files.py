"""Which towers and which bank are used: the shipped ones, or files of the user's own. numpy outside, FAISS on request.

A bank is a file, or the folder of a large bank: mapped, so that it may be larger than memory, and searched through its
index where `bank index` has made one, else exactly, block by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backend.bank.bank_file import PoseBank, read_bank
from backend.bank.disk_index import INDEX_FILE, DiskSearcher
from backend.bank.large import open_large_bank
from backend.bank.search import Searcher, make_searcher
from backend.embedding.tower_weights import TowerWeights, read_towers

WEIGHTS_DIR = Path(__file__).resolve().parents[1] / "weights"
TOWERS_FILE = "towers.safetensors"
TEMPORAL_FILE = "temporal_tower.safetensors"
BANK_FILE = "bank.safetensors"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Files of the user's own; None: the shipped one."""

    towers: Path | None = None
    bank: Path | None = None

    def read_towers(self) -> TowerWeights:
        """The towers' weights. Raises WeightsError for a missing, damaged or foreign file."""
        return read_towers(self.towers or WEIGHTS_DIR / TOWERS_FILE)

    def read_temporal(self) -> TowerWeights | None:
        """The temporal image tower that is averaged with the shipped one; None beside towers of the user's own.
        Raises WeightsError for a missing, damaged or foreign file.
        """
        return None if self.towers is not None else read_towers(WEIGHTS_DIR / TEMPORAL_FILE)

    def open_bank(self, tower_hash: str) -> PoseBank:
        """The bank. Raises WeightsError for a missing, damaged or foreign one, and for one of another pose tower."""
        bank = self.bank or WEIGHTS_DIR / BANK_FILE
        return open_large_bank(bank, tower_hash) if bank.is_dir() else read_bank(bank, tower_hash)

    def searcher(self, bank: PoseBank, device: str) -> Searcher:
        """What searches the bank: its index on disk where it has one. Raises WeightsError for a foreign index,
        DeviceError without FAISS.
        """
        if self.bank is not None and (self.bank / INDEX_FILE).exists():
            return DiskSearcher(bank.embeddings, self.bank)
        return make_searcher(bank.embeddings, "cpu" if self.bank is not None and self.bank.is_dir() else device)

    def check(self) -> None:
        """Read them once, to complain early. Raises WeightsError and DeviceError as the others do."""
        if self != SHIPPED:
            self.searcher(self.open_bank(self.read_towers().pose_hash), "cpu")


SHIPPED = ModelFiles()
