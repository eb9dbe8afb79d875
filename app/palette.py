"""The colours that tell things apart, for light and for dark pages, by Okabe and Ito.

Each has a contrast of at least 3:1 against its background (computed: white, and Streamlit's dark #171614). Never use
colour alone: a label, a dash or a shape says the same.
"""

CATEGORICAL_ON_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C27F00", "#3A9BDC")
CATEGORICAL_ON_DARK = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442")
OTHER = "#8A8A8A"  # serves both

# State of an embedding space, with a word and an icon beside it everywhere; white on it has 4.5:1 or more.
STATE_COLOURS = {"healthy": "#00875F", "watch": "#A66300", "collapsed": "#C2410C", "cannot tell": "#6B6B6B"}

# From first to last of what has an order; in between, mixed.
_RAMP_ON_LIGHT = ("#3A9BDC", "#6A4FB3", "#7A0F2E")
_RAMP_ON_DARK = ("#5B8DEF", "#D080D8", "#FFD27F")


def ramp(place: float, *, is_dark: bool) -> str:
    """The colour at a place from 0 to 1 of what has an order, as `#RRGGBB`."""
    stops = _RAMP_ON_DARK if is_dark else _RAMP_ON_LIGHT
    at = min(max(place, 0.0), 1.0) * (len(stops) - 1)
    first = min(int(at), len(stops) - 2)
    low, high = (bytes.fromhex(stop[1:]) for stop in stops[first : first + 2])
    return (
        "#" + bytes(round(a + (b - a) * (at - first)) for a, b in zip(low, high, strict=True)).hex().upper()
    )


def categorical(*, is_dark: bool) -> tuple[str, ...]:
    """The colours in the order in which they are given out."""
    return CATEGORICAL_ON_DARK if is_dark else CATEGORICAL_ON_LIGHT
