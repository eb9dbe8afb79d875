"""Rows for the tests of the topics page, and what a person would read on it."""

WORDS = {
    "water": "river flood bridge boat",
    "bread": "flour oven yeast dough",
    "music": "guitar chord drum melody",
}
EVIL = "\u202e **bold** <b>x</b> ![i](http://evil.example/i.png) $x^2$ :smile:"


def rows(count=36):
    subjects = list(WORDS.items())
    found = []
    for number in range(count):
        name, words = subjects[number % 3]
        one = words.split()[number // 3 % 4]
        found.append(
            (f"d{number}", f"About {name} {number}", f"{words} {words} and {one}", name, 2000 + number % 9)
        )
    return found


def text_of(test):
    kinds = (test.text, test.markdown, test.caption, test.code, test.subheader, test.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def button(test, key):
    return next((item for item in test.button if item.key == key), None)


def table(test, *columns):
    """The first table that has these columns."""
    return next(item.value for item in test.dataframe if set(columns) <= set(item.value.columns))


def link(test):
    return dict(test.query_params)


def pressed(test, key):
    button(test, key).click().run()
    assert not test.exception
    return test
