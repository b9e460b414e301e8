"""Writes the tables that `tests/tables.rs` compares the crate with: what Python, Starlette and the json module answer.

Usage: generate.py FOLDER ROWS. Needs starlette and python-multipart. Inputs are random, from pieces that hit the rules.
"""

import email.message
import json
import math
import random
import struct
import sys
from pathlib import Path
from urllib.parse import parse_qsl, unquote, unquote_plus

import anyio
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.formparsers import FormParser
from starlette.requests import cookie_parser

QUERY = [
    b"&",
    b"=",
    b"+",
    b"%",
    b"%4",
    b"%C3%A9",
    b"%e2%82",
    b"%ff",
    b"%ed%a0%80",
    b"%f0%9f",
    b"%",
    b"a",
    b"b1",
    b";",
    b"\xe9",
    b"\x80",
    b"%00",
    b"%26",
]
COOKIE = [
    b";",
    b"=",
    b'"',
    b"\\",
    b'="',
    b'";',
    b"\\101",
    b"\\477",
    b"\\3",
    b"\n",
    b"\x85",
    b"\xa0",
    b"\x1c",
    b" ",
    b"\t",
    b"a",
    b"b7",
    b"\xe9",
    b",",
    b"\x00",
]
MEDIA = [
    b"application",
    b"Application",
    b"/",
    b"/",
    b"json",
    b"JSON",
    b"+json",
    b";",
    b" ",
    b"\t",
    b"\xa0",
    b"\n",
    b"text",
    b'"',
    b"=",
    b"\xe9",
    b"charset=utf-8",
    b"multipart/form-data",
    b"application/x-www-form-urlencoded",
    b"multipart/Form-Data;",
    b"\x0b",
]


def texts(pieces: list[bytes], rows: int) -> list[bytes]:
    return [b"".join(random.choices(pieces, k=random.randrange(9))) for _ in range(rows)]


def hexadecimal(text: str) -> str:
    return text.encode().hex()


def pairs(items) -> str:
    return ";".join(f"{hexadecimal(name)}={hexadecimal(value)}" for name, value in items)


def form(body: bytes):
    async def parse():
        async def stream():
            cut = random.randrange(len(body) + 1)
            yield body[:cut]
            yield body[cut:]

        return (await FormParser(Headers({}), stream()).parse()).multi_items()

    return anyio.run(parse)


def is_json(header: bytes) -> str:
    message = email.message.Message()
    message["content-type"] = header.decode("latin-1")
    subtype = message.get_content_subtype()
    return str(message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json")))


def form_kind(header: bytes) -> str:
    names = {b"multipart/form-data": "Multipart", b"application/x-www-form-urlencoded": "UrlEncoded"}
    return names.get(parse_options_header(header.decode("latin-1"))[0], "Neither")


def floats(rows: int) -> list[float]:
    exact = [float(f"{digits}e{exponent}") for digits in (1, 9, 123, 99999) for exponent in range(-12, 24)]
    powers = [math.ldexp(1.0, exponent) for exponent in random.sample(range(-1074, 1024), min(rows, 2000))]
    random_bits = [struct.unpack("<d", random.randbytes(8))[0] for _ in range(rows)]
    usual = [round(random.uniform(-1e6, 1e6), random.randrange(8)) for _ in range(rows)]
    small = [random.uniform(1e-6, 1e-3) for _ in range(rows)]
    return [number for number in exact + powers + random_bits + usual + small if math.isfinite(number)]


def strings(rows: int) -> list[str]:
    alphabet = (
        [chr(number) for number in range(0x30)] + list('"\\\x7f\x80é€\U0001f600\u2028abcdefgh') + ["x" * 31, "y" * 64]
    )
    return ["".join(random.choices(alphabet, k=random.randrange(12))) for _ in range(rows)]


def main(folder: Path, rows: int) -> None:
    random.seed(1)
    queries, headers = texts(QUERY, rows), texts(MEDIA, rows)
    tables = {
        "unquote": [(raw.hex(), hexadecimal(unquote(raw.decode("latin-1")))) for raw in queries],
        "unquote_plus": [(raw.hex(), hexadecimal(unquote_plus(raw.decode("latin-1")))) for raw in queries],
        "query": [(raw.hex(), pairs(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))) for raw in queries],
        "form": [(raw.hex(), pairs(form(raw))) for raw in texts(QUERY, rows // 2)],
        "cookie": [(raw.hex(), pairs(cookie_parser(raw.decode("latin-1")).items())) for raw in texts(COOKIE, rows)],
        "is_json": [(raw.hex(), is_json(raw)) for raw in headers],
        "form_kind": [(raw.hex(), form_kind(raw)) for raw in headers],
        "float": [(struct.pack(">d", number).hex(), repr(number)) for number in floats(rows // 4)],
        "string": [(hexadecimal(text), hexadecimal(json.dumps(text, ensure_ascii=False))) for text in strings(rows)],
    }
    for name, lines in tables.items():
        unique = dict(lines)
        (folder / f"{name}.tsv").write_text("".join(f"{raw}\t{expected}\n" for raw, expected in unique.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
