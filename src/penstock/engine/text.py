"""Text of users that must be written as UTF-8, whatever is in it."""


def readable(text: str) -> str:
    """`text`, with code points that UTF-8 cannot say (of an undecodable file name) spelled out."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()
