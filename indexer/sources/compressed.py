"""A file's bytes, unpacked as they stream by; says of damaged files that they are damaged."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from encoder.errors import InputError

_GZIP, _ZSTD, _BZ2, _XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00"
SUFFIXES = (".gz", ".zst", ".zstd", ".bz2", ".xz")


class ByteStream:
    """The unpacked bytes of a file, with the position in the packed one.

    Attributes:
        size: bytes of the file on disk.
    """

    def __init__(self, path: Path) -> None:
        self._raw: BinaryIO = path.open("rb")
        self.size = path.stat().st_size
        self.file: IO[bytes] = _unpack(self._raw)

    def fraction_read(self) -> float:
        """Share of the packed file that is read, 0 to 1."""
        return 1.0 if self._raw.closed or not self.size else min(1.0, self.bytes_read / self.size)

    @property
    def bytes_read(self) -> int:
        """Bytes taken from the packed file so far."""
        return self.size if self._raw.closed else self._raw.tell()

    @property
    def bytes_looked_at(self) -> int:
        """Bytes so far, packed or unpacked, whichever are more: a small file may unpack to very much."""
        return self.bytes_read if self.file.closed else max(self.bytes_read, self.file.tell())

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()
        self._raw.close()


def _unpack(raw: BinaryIO) -> IO[bytes]:
    head = raw.read(6)
    raw.seek(0)
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if head.startswith(_ZSTD):
        return io.BufferedReader(_ZstdBytes(raw), 1 << 20)
    if head.startswith(_BZ2):
        return bz2.BZ2File(raw)
    if head.startswith(_XZ):
        return lzma.LZMAFile(raw)
    return raw


class _ZstdBytes(io.RawIOBase):
    """Zstandard frames as bytes; unlike the library's own reader it notices a frame that ends too early."""

    def __init__(self, raw: BinaryIO) -> None:
        from zstandard import ZstdDecompressor

        self._raw = raw
        self._new_frame = ZstdDecompressor(max_window_size=2**31).decompressobj
        self._frame = self._new_frame()
        self._in_frame = False
        self._rest = b""
        self._out = memoryview(b"")
        self._position = 0

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def readinto(self, target: "bytearray | memoryview") -> int:  # type: ignore[override]
        while not self._out:
            if not (packed := self._rest or self._raw.read(1 << 16)):
                if self._in_frame:
                    raise EOFError("the last frame is not complete")
                return 0
            self._out = memoryview(self._frame.decompress(packed))
            self._rest, self._in_frame = b"", True
            if self._frame.eof:
                self._rest, self._in_frame = self._frame.unused_data, False
                self._frame = self._new_frame()
        n = min(len(target), len(self._out))
        target[:n] = self._out[:n]
        self._out = self._out[n:]
        self._position += n
        return n


@contextmanager
def readable(label: str) -> Iterator[None]:
    """Turn what the operating system and the unpackers raise into errors for people.

    Raises:
        InputError: the file is missing, unreadable or damaged.
    """
    from zstandard import ZstdError

    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"there is no file {label}", label, "check the path") from error
    except PermissionError as error:
        raise InputError(
            f"{label} may not be read by this user", label, "change its permissions or copy it"
        ) from error
    except EOFError as error:
        raise InputError(
            f"{label} is cut off: its compressed data ends early", label, "fetch or make the file again"
        ) from error
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, ZstdError) as error:
        raise InputError(
            f"{label} is damaged: its compressed data cannot be unpacked ({error})",
            label,
            "fetch or make it again",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{label} holds bytes that are no characters ({error.encoding})", label, "save the file as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(
            f"{label} cannot be read: {error.strerror or error}", label, "check the file"
        ) from error
