"""How the bytes of a text file are to be read as characters; undecodable bytes stay recognisable."""

import codecs

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Below this share of broken characters a file is UTF-8 with damage, above it is something else.
_DAMAGE = 0.1
_GUESS_BYTES = 65_536
# charset-normalizer tells these apart by little; on Western text the Windows one is right by far the most often.
_WESTERN = frozenset(
    [
        "latin_1",
        "iso8859_15",
        "iso8859_1",
        "cp1250",
        "cp1252",
        "cp1254",
        "cp1257",
        "cp850",
        "mac_roman",
        "iso8859_9",
        "cp858",
    ]
)


def detect_encoding(sample: bytes) -> str:
    """The codec by which a file that holds these bytes is read; utf-8 where nothing speaks against it."""
    for bom, codec in _BOMS:
        if sample.startswith(bom):
            return codec
    if sample.isascii():
        return "utf-8"
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    text = decoder.decode(sample)  # a character cut in two by the end of the sample is not damage
    odd = [char for char in text if char > "\x7f"]
    broken = sum("\udc80" <= char <= "\udcff" for char in odd)
    if broken <= _DAMAGE * len(odd):
        return "utf-8"
    return _guess(sample)


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    lines = [line for line in sample.splitlines() if not line.isascii()]
    found = from_bytes(b"\n".join(lines)[:_GUESS_BYTES])
    best = found.best()
    if best is None or best.encoding in _WESTERN:
        return "cp1252" if _decodes(sample, "cp1252") else "latin-1"
    chaos = min((m.chaos for m in found if m.encoding in _WESTERN), default=1.0)
    if chaos <= best.chaos and _decodes(sample, "cp1252") and not best.multi_byte_usage > 0.5:
        return "cp1252"
    return best.encoding


def _decodes(sample: bytes, codec: str) -> bool:
    try:
        sample.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def has_broken_bytes(text: str) -> bool:
    """Whether bytes that are no characters were read into this text (as lone surrogates, PEP 383)."""
    if text.isascii():
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, which no file and no store can hold; same length."""
    return (
        text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if has_broken_bytes(text)
        else text
    )
