"""Ways in which the bytes of an upload may be damaged, and how long reading them may take."""

import time
from contextlib import contextmanager


@contextmanager
def within(seconds):
    """Assert that the code inside takes no longer."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def mutated(raw, chance):
    """The bytes with a few of them changed, lost, doubled or put elsewhere."""
    content = bytearray(raw)
    for _ in range(chance.randint(1, 6)):
        start, length = chance.randrange(len(content) + 1), chance.choice((1, 1, 2, 8, 40))
        stop = start + length
        kind = chance.randrange(6)
        if kind == 0:
            content[start:stop] = chance.randbytes(length)
        elif kind == 1:
            del content[start:stop]
        elif kind == 2:
            content[start:start] = content[start:stop] * chance.choice((1, 2, 50))
        elif kind == 3:
            content[start:start] = chance.choice(
                (
                    b'"',
                    b"\0",
                    b"\r",
                    b"\n",
                    b",",
                    b"[",
                    b"{",
                    b"}",
                    b"\xff\xfe",
                    b"\xef\xbb\xbf",
                    b"\\",
                    b"9" * 5000,
                )
            )
        elif kind == 4 and content:
            content[start % len(content)] ^= 1 << chance.randrange(8)
        elif len(content) > 20:
            del content[chance.randrange(10, len(content)) :]
    return bytes(content)
