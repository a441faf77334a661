"""Named arrays out of `.npz`, `.pt` and `.pkl` files of any origin, without running any of their code.

May import numpy and its own room only.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .motion_file_error import MotionFileError
from .pickled_data import Tensor, read_pickle

MOST_BYTES: Final = 1 << 30
_MOST_PICKLE: Final = 256 << 20
# the number with which files of torch.save began before they were zip archives
_OLD_TORCH: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_KIND_REMEDY: Final = "Give a motion file: SMPL or SMPL-X motion as .npz, GVHMR or WHAM results as .pt, or BVH"


class TorchTensors:
    """The tensors of a `.pt` archive, read when they are asked for."""

    def __init__(self, path: Path, root: str) -> None:
        self._path = path
        self._root = root

    def array(self, tensor: Tensor) -> NDArray[Any]:
        """A tensor's numbers. Raises MotionFileError where the archive does not hold them."""
        reach = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.size, tensor.stride, strict=True) if n) + 1
        with zipfile.ZipFile(self._path) as archive:
            name = f"{self._root}/data/{tensor.key}"
            if archive.getinfo(name).file_size > MOST_BYTES or math.prod(tensor.size) * 8 > MOST_BYTES:
                raise MotionFileError(f"{self._path.name} holds a tensor too large for a motion", _KIND_REMEDY)
            raw = archive.read(name)
        brain = tensor.dtype == "bfloat16"
        flat = np.frombuffer(raw, "<u2" if brain else tensor.dtype)
        if min((*tensor.stride, *tensor.size, tensor.offset, 0)) < 0 or reach > len(flat):
            raise MotionFileError(f"{self._path.name} is damaged: a tensor reaches beyond its data", _KIND_REMEDY)
        if brain:
            flat = (flat.astype("<u4") << 16).view("<f4")
        steps = [step * flat.itemsize for step in tensor.stride]
        return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.size, steps).copy()


def read_arrays(path: Path) -> Mapping[Any, Any]:
    """The file's names and values, nested as the file has them: arrays, numbers, texts, dictionaries.

    Raises MotionFileError for a file that is none of the three kinds, that is damaged, or that holds more than data.
    """
    try:
        return _reader(path)(path)
    except MotionFileError:
        raise
    except OSError as fault:
        raise MotionFileError(f"{path} cannot be read ({fault.strerror})", "Check the path and permissions") from fault
    except Exception as fault:  # the file's border: zip, zlib and numpy raise what they like for damage
        reason = str(fault)[:120] or type(fault).__name__
        raise MotionFileError(f"{path.name} is damaged ({reason})", "Export or copy it again") from fault


def _reader(path: Path) -> Any:
    with path.open("rb") as stream:
        begin = stream.read(4)
    if begin[:2] == b"PK":
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        return _read_torch if any(name.endswith("/data.pkl") for name in names) else _read_npz
    if begin[:1] == b"\x80":
        return _read_pickled
    if begin[:1] == b"\x78" or begin[:2] in (b"\x1f\x8b", b"BZ"):
        raise MotionFileError(
            f"{path.name} is compressed, as joblib.dump does with compress", "Save it again without compress"
        )
    raise MotionFileError(f"{path.name} is neither .npz nor .pt nor .pkl inside", _KIND_REMEDY)


def _read_npz(path: Path) -> Mapping[Any, Any]:
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        if sum(info.file_size for info in members) > MOST_BYTES:
            raise MotionFileError(f"{path.name} unpacks to more than {MOST_BYTES >> 30} GiB", "Save the motion alone")
    found: dict[str, Any] = {}
    with np.load(path, allow_pickle=False) as stored:
        for name in stored.files:
            try:
                found[name] = stored[name]
            except ValueError:  # an array of Python objects
                found[name] = None
    if found and all(value is None for value in found.values()):
        raise MotionFileError(
            f"{path.name} holds Python objects only; unpickling them could run any program, so they are refused",
            "Save its arrays with numpy.savez, one name each",
        )
    return found


def _read_torch(path: Path) -> Mapping[Any, Any]:
    with zipfile.ZipFile(path) as archive:
        program = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        root = program.removesuffix("/data.pkl")
        order = f"{root}/byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise MotionFileError(f"{path.name} is big-endian", "Save it again on another machine")
        if archive.getinfo(program).file_size > _MOST_PICKLE:
            raise MotionFileError(f"{path.name} is too large for a motion", _KIND_REMEDY)
        value = read_pickle(archive.read(program), path.name)
    return _named(_with_tensors(value, TorchTensors(path, root)), path)


def _read_pickled(path: Path) -> Mapping[Any, Any]:
    if path.stat().st_size > MOST_BYTES:  # WHAM's hold the vertices of every frame
        raise MotionFileError(f"{path.name} is too large for a motion", "Save its arrays with numpy.savez")
    data = path.read_bytes()
    if data.startswith(_OLD_TORCH):
        raise MotionFileError(
            f"{path.name} was written by a torch older than 1.6", "Load it there and save it again with torch.save"
        )
    first = next(pickletools.genops(data), None)
    if first is None or first[0].name != "PROTO":
        raise MotionFileError(f"{path.name} is no pickle", _KIND_REMEDY)
    return _named(read_pickle(data, path.name), path)


def _named(value: Any, path: Path) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, Mapping) for item in value):
        return dict(enumerate(value))  # one dictionary a person
    raise MotionFileError(f"{path.name} holds no names, so nothing says what its numbers are", _KIND_REMEDY)


def _with_tensors(value: Any, tensors: TorchTensors) -> Any:
    """The value with a reader in place of each tensor."""
    if isinstance(value, Tensor):
        return _LazyTensor(value, tensors)
    if isinstance(value, Mapping):
        return {key: _with_tensors(item, tensors) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_tensors(item, tensors) for item in value]
    return value


class _LazyTensor:
    def __init__(self, tensor: Tensor, tensors: TorchTensors) -> None:
        self._tensor = tensor
        self._tensors = tensors

    def numbers(self) -> NDArray[Any]:
        return self._tensors.array(self._tensor)


def numbers(value: Any) -> NDArray[np.floating] | None:
    """A value as an array of floats; None where it is no array of numbers."""
    if isinstance(value, _LazyTensor):
        value = value.numbers()
    if isinstance(value, (list, tuple)) and all(isinstance(item, (int, float)) for item in value):
        value = np.array(value, dtype=np.float64)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = np.array(float(value))
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        return None
    return value.astype(np.float64)
