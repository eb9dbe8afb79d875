"""Numbers, sizes and times as people read them; the page's one way to write a figure."""

from datetime import UTC, datetime

THIN_SPACE = "\u202f"  # narrow and unbreakable: a number never wraps
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def count(number: float) -> str:
    """A whole number with thin spaces between thousands: 12 345."""
    return f"{number:,.0f}".replace(",", THIN_SPACE)


def plural(number: float, noun: str) -> str:
    """A count and its noun: "1 passage", "12 345 passages"."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def score(value: float | None) -> str:
    """Three decimals, or a dash where there is none."""
    return "\u2013" if value is None else f"{value:.3f}"


def percent(share: float) -> str:
    """A share of 0 to 1 with one decimal: 4.5 %."""
    return f"{100 * share:.1f}{THIN_SPACE}%"


def size(size_bytes: float) -> str:
    """Bytes in units of 1000: "52.1 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1_000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1_000
    return f"{size_bytes:.1f} TB"


def milliseconds(duration_ms: float) -> str:
    """Below a second in ms, above in seconds."""
    return f"{duration_ms:.0f} ms" if duration_ms < 1_000 else f"{duration_ms / 1_000:.1f} s"


def duration(seconds: float) -> str:
    """A waiting time in its one or two largest units: "3 min 20 s"."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long ago, in one unit: "4 min ago"."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    for length, unit in ((_DAY, "day"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= length:
            number = int(seconds // length)
            return f"{plural(number, 'day')} ago" if unit == "day" else f"{number} {unit} ago"
    return "just now"


def parse_moment(text: object) -> datetime | None:
    """The moment of an ISO text; None where it is none."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
