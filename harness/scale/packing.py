"""What a run left, as one compressed file: made where it ran, unpacked where it was asked for."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pyarrow as pa

from harness.errors import HistoryError


def pack(folder: Path, archive: Path) -> int:
    """Write the folders in a folder, with their files, into an archive; returns its size in bytes. Raises HistoryError."""
    try:
        found = sorted(folder.iterdir()) if folder.exists() else []
        with (
            pa.OSFile(str(archive), "wb") as file,
            pa.CompressedOutputStream(file, "zstd") as stream,
            tarfile.open(fileobj=stream, mode="w|") as tar,
        ):
            for path in found:
                if path.is_dir() and not path.is_symlink():
                    tar.add(path, path.name, filter=_plain)
        return archive.stat().st_size
    except (OSError, tarfile.TarError, pa.ArrowException) as error:
        raise HistoryError(f"what the run left could not be packed into {archive}: {error}") from error


def most_bytes(folder: Path) -> int:
    """Return how large an archive, or what is in it, may be that is brought to a folder's disk: half of what is free there. Raises OSError."""
    return shutil.disk_usage(folder).free // 2


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder; nothing in it reaches outside, or takes more room than there may be. Raises HistoryError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        most, unpacked = most_bytes(folder), 0
        with (
            pa.OSFile(str(archive), "rb") as file,
            pa.CompressedInputStream(file, "zstd") as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            for member in tar:
                unpacked += member.size
                if unpacked > most:
                    raise HistoryError(
                        f"what the run left has more than {most:,} bytes, half of what is free on the disk of {folder}; "
                        "make room there, or choose another with --reports"
                    )
                tar.extract(member, folder, filter="data")
    except (OSError, EOFError, tarfile.TarError, pa.ArrowException) as error:
        raise HistoryError(f"what the run left could not be unpacked into {folder}: {error}") from error


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is neither a file nor a folder, such as a socket."""
    return member if member.isfile() or member.isdir() else None
