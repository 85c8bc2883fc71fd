"""shorten.py: error texts of a length that a person reads, and that a CI's page shows. A frame may have 60 KB."""

FRAME = 200  # characters of a frame in an error's text
LINE = 1000  # of any line of a failure


def cut(text, most=FRAME):
    """The text; of a longer one its beginning, its length and its end."""
    text = str(text)
    if len(text) <= most:
        return text
    tail = most // 4
    return f"{text[:most - tail]} …[{len(text)} characters]… {text[-tail:]}"


def cut_lines(text):
    return "\n".join(cut(line, LINE) for line in text.splitlines())
