"""Changes of trees (JSON, TOML), of text and of bytes; all randomness comes from a ``random.Random``."""

import copy
import json

NUMBERS = (
    *(0, 1, -1, 2, 3, 17, 255, 256, 2**15, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**70)),
    *(10**25, 10**310, 10**400, 0.5, -0.0, 1e-320, 1e7, 1.1e7, 1e20, 1e38, 1e39, 1e154, 1e200, 1.7e308),
    *(float("nan"), float("inf"), float("-inf")),
)
TEXTS = (
    *("", " ", "a", "0", "-1", "1e999", "nan", "None", "null", "..", "/", "../../etc/passwd", "a/b", "a,b", "\t", "\n"),
    *(
        "\x00",
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\r\n",
        "\u202egnp",
        "\u200b",
        "é",
        "人",
        "💀",
        "\ud800",
        "\ufeff",
    ),
    *("x" * 300, "9" * 5000, "٣", "1_0", "0x10", "nose", "left_hip", "%s%n", "{0}", "$(id)", "'", '"', "os:system"),
)
TREES = (None, True, False, [], {}, [[]], [None], {"": None}, [[[[[]]]]])


def value(rng):
    """Anything that a tree may hold."""
    return copy.deepcopy(rng.choice((NUMBERS, NUMBERS, TEXTS, TREES)[rng.randrange(4)]))


def tree(content, rng):
    """The tree, in place, with something changed at a random place."""
    box = [content]
    parent, key = box, 0
    while isinstance(inner := parent[key], dict | list) and inner and rng.randrange(4):
        parent, key = inner, rng.choice(list(inner)) if isinstance(inner, dict) else rng.randrange(len(inner))
    old, change = parent[key], rng.randrange(12)
    if change <= 2 or (change <= 9 and not isinstance(old, dict | list | str | int | float)):
        parent[key] = value(rng)
    elif change == 3:
        del parent[key]
    elif change == 4:
        parent[key] = [old]
    elif change == 5:
        parent[key] = old[0] if isinstance(old, list) and old else {"a": old}
    elif change == 6 and isinstance(old, list):
        parent[key] = (old * 4)[: rng.choice((0, 1, 2, len(old) - 1, len(old) + 1, 4 * len(old)))]
    elif change == 6 and isinstance(old, dict):
        old[rng.choice(TEXTS)] = value(rng)
    elif change == 7:
        parent[key] = str(old)[:200] if not isinstance(old, str) else [old]
    elif change == 8 and isinstance(old, int | float):
        parent[key] = old * rng.choice((-1, 0.5, 1e3, 1e9, 1e300)) if abs(old) < 1e300 else 0
    elif change == 9 and isinstance(parent, dict):
        parent[rng.choice(TEXTS)] = parent.pop(key)
    elif change == 10:
        other = box[0]
        while isinstance(other, dict | list) and other and rng.randrange(3):
            other = rng.choice(list(other.values()) if isinstance(other, dict) else other)
        parent[key] = copy.deepcopy(other)
    else:
        parent[key] = value(rng)
    return box[0] if box else None


def as_json(data, rng):
    """JSON with a changed tree, or rarely with changed text."""
    kind = rng.randrange(24)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        lines = data.split(b"\n")  # which may be JSON each
        at = rng.randrange(len(lines))
        is_json = len(lines) > 1 and lines[at][:1] in (b"{", b"[") and rng.randrange(8)
        lines[at] = as_json(lines[at], rng) if is_json else text(lines[at], rng)
        return b"\n".join(lines)
    if kind == 0:
        return text(data, rng)
    if kind == 1:
        return b'{"a":' * 3000 + data if rng.randrange(2) else b"[" * rng.choice((50, 3000)) + data
    if kind == 2:
        lines = content if isinstance(content, list) else [content]
        return "\n".join(map(json.dumps, lines)).encode()
    if kind == 3 and isinstance(content, dict) and content:
        key = rng.choice(list(content))  # twice
        return data.rstrip()[:-1] + f",{json.dumps(key)}:{_json(value(rng), False)}}}".encode()
    try:
        return _json(tree(content, rng), rng.randrange(2) == 0).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return data


def _json(content, escapes):
    return json.dumps(content, ensure_ascii=escapes, separators=(",", ":"))


def as_toml(data, rng):
    """TOML with a changed tree, or rarely with changed text."""
    from prpose.atomic import tomllib

    try:
        content = tomllib.loads(data.decode())
        if rng.randrange(8) and isinstance(changed := tree(content, rng), dict):
            return "".join(f"{_quoted(k)} = {_toml(v)}\n" for k, v in changed.items()).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        pass
    return text(data, rng)


def _quoted(name):
    return json.dumps(str(name)).replace("\\/", "/")


def _toml(content):
    if isinstance(content, dict):
        return "{" + ", ".join(f"{_quoted(k)} = {_toml(v)}" for k, v in content.items()) + "}"
    if isinstance(content, list):
        return "[" + ", ".join(map(_toml, content)) + "]"
    if isinstance(content, str):
        return _quoted(content)
    return {None: '"null"', True: "true", False: "false"}.get(content, repr(content)) if content != 1 else "1"


def words(data, rng, separator=None):
    """Text of lines of words, with words or lines changed."""
    lines = data.decode("latin1").split("\n")
    at, change = rng.randrange(len(lines)), rng.randrange(12)
    parts = lines[at].split(separator)
    glue = separator or " "
    if change <= 4 and parts:
        new = str(value(rng)) if rng.randrange(3) else rng.choice(_words_of(lines, rng, separator))
        parts[rng.randrange(len(parts))] = new.encode("utf-8", "replace").decode("latin1")
        lines[at] = glue.join(parts)
    elif change == 5 and parts:
        del parts[rng.randrange(len(parts))]
        lines[at] = glue.join(parts)
    elif change == 6:
        lines[at] = glue.join([*parts, rng.choice(_words_of(lines, rng, separator))])
    elif change == 7:
        del lines[at]
    elif change == 8:
        lines.insert(rng.randrange(len(lines)), lines[at])
    elif change == 9:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif change == 10:
        start = min(at, rng.randrange(len(lines)))
        lines[at:at] = lines[start : start + 8] * rng.choice((1, 4))
    else:
        return text(data, rng)
    return "\n".join(lines).encode("latin1")


def _words_of(lines, rng, separator):
    return lines[rng.randrange(len(lines))].split(separator) or [""]


def as_csv(data, rng):
    """A table with cells, lines or columns changed."""
    if rng.randrange(6):
        return words(data, rng, ",")
    rows = [line.split(",") for line in data.decode("latin1").split("\n")]
    column, change = rng.randrange(max(map(len, rows))), rng.randrange(4)
    for row in rows:
        if column < len(row):
            if change == 0:
                del row[column]
            elif change == 1:
                row.insert(0, row[column])
            elif change == 2:
                row[column] = f'"{row[column]}"'
            else:
                row[column] = row[0]
    return "\n".join(rng.choice((",", ",", ",", ";", "\t")).join(row) for row in rows).encode("latin1")


def text(data, rng):
    """Text with another encoding, ending or piece."""
    change = rng.randrange(6)
    if change == 0:
        return b"\xef\xbb\xbf" + data
    if change == 1:
        return data.decode("utf-8", "replace").encode("utf-16")
    if change == 2:
        at = rng.randrange(len(data) + 1)
        return data[:at] + rng.choice(TEXTS).encode("utf-8", "surrogatepass") + data[at:]
    if change == 3:
        return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\x0b", b"\x85")))
    return raw(data, rng)


def raw(data, rng):
    """Bytes flipped, overwritten by numbers, cut off, repeated or exchanged."""
    data = bytearray(data or b"\0")
    at, change = rng.randrange(len(data)), rng.randrange(8)
    if change <= 1:
        data[at] ^= 1 << rng.randrange(8)
    elif change == 2:
        data[at] = rng.choice((0, 1, 127, 128, 254, 255))
    elif change <= 4:
        size, order = rng.choice((2, 4, 8)), rng.choice(("little", "big"))
        at -= at % size if rng.randrange(2) else 0
        number = rng.choice((0, 1, 2, 2**7, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1))
        data[at : at + size] = (number % 2 ** (8 * size)).to_bytes(size, order)
    elif change == 5:
        return bytes(data[:at])
    else:
        length = rng.choice((1, 4, 16, 64, 512))
        piece, to = data[at : at + length], rng.randrange(len(data))
        data[to : to + (length if change == 6 else 0)] = piece
    return bytes(data)
