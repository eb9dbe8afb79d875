"""Colours, sizes and words that are used in more than one place."""

from app.palette import STATE_COLOURS

# Contrast was computed against white and Streamlit's dark background (app.md 4.5).
BLUE_ON_LIGHT = "#0072B2"
BLUE_ON_DARK = "#56B4E9"

STREAMLIT_THEME = {
    "theme.light.primaryColor": BLUE_ON_LIGHT,
    "theme.light.linkColor": BLUE_ON_LIGHT,
    "theme.dark.primaryColor": BLUE_ON_DARK,
    "theme.dark.linkColor": BLUE_ON_DARK,
    "theme.baseRadius": "0.5rem",
    "theme.headingFontSizes": ["1.75rem", "1.35rem", "1.2rem", "1.1rem", "1rem", "0.9rem"],
    "theme.metricValueFontSize": "1.35rem",
    "theme.showWidgetBorder": True,
}

_STATES = "\n".join(
    f'[class*="st-key-state_{state.replace(" ", "_")}"] {{ background: {colour}; }}'
    for state, colour in STATE_COLOURS.items()
)
# Streamlit leaves 6 rem above a page; the search field belongs near the top. Without chips the bar holds two buttons at
# the right, which stand beside the title instead of above it. Streamlit's captions have 3.9:1 on a light page, and white
# on the dark theme's blue 2.3:1; both get the 4.5:1 that small text needs.
PAGE_STYLE = (
    """<style>
.stMainBlockContainer { padding-top: 4rem; padding-bottom: 3rem; }
.st-key-scope { position: relative; z-index: 1; margin-bottom: -2rem; }
.st-key-scope:not(:has([class*="st-key-chip_"])) { margin-bottom: -5.25rem; pointer-events: none; }
.st-key-scope:not(:has([class*="st-key-chip_"])) button { pointer-events: auto; }
[class*="st-key-state_"] { border-radius: 0.5rem; padding: 0.7rem 0.4rem; }
[class*="st-key-state_"] p { color: #fff; font-size: 1.25rem; text-align: center; }
[data-testid="stCaptionContainer"] { color: inherit; opacity: 0.8; }
[data-testid="stBaseButton-primary"] { background: __BLUE__; border-color: __BLUE__; }
""".replace("__BLUE__", BLUE_ON_LIGHT)
    + _STATES
    + "\n</style>"
)

# Our own favicon as text: a Material icon given to a page would be fetched from a font server as the favicon.
FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0072B2"/>'
    '<circle cx="14" cy="14" r="6.5" fill="none" stroke="#fff" stroke-width="3"/>'
    '<path d="M19 19l7 7" stroke="#fff" stroke-width="3.4" stroke-linecap="round"/></svg>'
)

TABLE_WIDTH, DETAIL_WIDTH = 11, 9  # shares of the page
TEXT_HEIGHT_PX = 420
HIT_ROW_PX, HITS_HEIGHT_PX = 72, 780  # cells wrap from 4 rem on: three lines a hit; the table scrolls within

MODE_LABELS = {"hybrid": "Hybrid", "semantic": "Meaning", "keyword": "Words"}
MODE_HELP = (
    "Hybrid weighs meaning and words together. Meaning compares vectors and finds other wordings. "
    "Words is BM25: the words themselves, without an encoder."
)
SCORE_HELP = "What the hits are ordered by; higher is better."
DENSE_HELP = "Closeness in meaning: the inner product of the query's and the passage's vectors, -1 to 1."
KEYWORD_HELP = "BM25 score of the query's words in title and passage; a dash where none occurs."
SYNTAX_HELP = 'Words, or: "an exact phrase", -without this, this OR that.'

TRAY_HELP = "Passages that you put together while looking around, from hits, outlines, topics and neighbours."

# The sentences of docs/glossary.md, for what is beside a number; a test holds them against each other.
TERM_HELP = {
    "document": "one record of a source: title, text, metadata",
    "passage": "the piece of a document that becomes one vector; also called chunk",
    "hit": "a found document with its best passage, score and rank",
    "effective rank": "how many directions carry the vectors: exp of the entropy of the normalised singular values",
    "mean cosine": "between two different texts; near 1 all texts look alike",
    "slot similarity": "mean cosine between the memory tokens of a text; 1 means that one would do",
    "collapse": "few directions carry all vectors, and neighbours mean nothing",
    "ann recall@k": "share of the exact top k that an approximate index returns; says nothing about relevance",
}

DEMO_TEXT = "The documentation of the Python packages on this machine, ready to search in a few minutes."
FIRST_COMMAND = "llm2comp index FILE --into DIR"

# Column types in the words of an analyst.
COLUMN_KINDS = {
    "string": "text",
    "int64": "whole numbers",
    "float64": "numbers",
    "bool": "yes or no",
    "date": "days",
    "timestamp": "times",
    "list<string>": "lists of texts",
}
