"""Text files that people bring: whole texts and JSON Lines, plain or packed by gzip. What is not UTF-8 is named."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from shosei.errors import InputError
from shosei.wrong_path import unreadable

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what decoding bytes of others' can raise
BYTE_ORDER_MARK = codecs.BOM_UTF8
UNPACKED_BYTES = 1 << 28  # of a compressed file that is read whole
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_KANA, _HAN = re.compile(r"[\u3041-\u30fe]"), re.compile(r"[\u4e00-\u9fff]")  # full-width: others come by accident
_LEAST_SHARE_OF_SCRIPT = 0.1  # of characters that are not ASCII, for a text to be in that encoding
_SHARE_OF_KANJI_ALONE = 0.9  # Chinese encodings read as Shift_JIS are half-width kana for the most part


def read_text(path: Path) -> str:
    """The whole text of a file in UTF-8, without a byte order mark, unpacked where its name ends in .gz.

    Raises InputError: it cannot be read, unpacks to more than ``UNPACKED_BYTES``, or is in another encoding.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                data = stream.read(UNPACKED_BYTES + 1)
        else:
            data = path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path}: damaged gzip: {error}") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if path.suffix == ".gz" and len(data) > UNPACKED_BYTES:
        raise InputError(f"{path} unpacks to more than {UNPACKED_BYTES >> 20} MiB: unpack it, and name a part of it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8{encoding_remedy(path, data)}") from None


def json_lines(path: Path, kind: Any, what: str) -> Iterator[tuple[str, Any]]:
    """Each line of a JSON Lines file that is not blank, decoded as ``kind``, after ``FILE:NUMBER`` for errors.

    Raises InputError as ``read_text``, and for a line that is not ``what``, such as "a prompt".
    """
    decode = msgspec.json.Decoder(kind).decode
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            try:
                yield f"{path}:{number}", decode(line)
            except UNREADABLE as error:
                raise InputError(f"{path}:{number}: not {what}: {error}") from None


def encoding_remedy(path: Path, data: bytes) -> str:
    """What follows "not UTF-8": how to convert a file of this text, if it looks like an encoding that is known here."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first of them begins as UTF-16's does
        name = "UTF-32"
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "UTF-16"
    elif _share(_KANA, data, "cp932") > _LEAST_SHARE_OF_SCRIPT:
        name = "Shift_JIS"
    elif _share(_KANA, data, "euc_jp") > _LEAST_SHARE_OF_SCRIPT:
        name = "EUC-JP"
    elif _share(_HAN, data, "cp932") > _SHARE_OF_KANJI_ALONE:
        name = "Shift_JIS"
    elif _share(_HAN, data, "gb18030") > _LEAST_SHARE_OF_SCRIPT:
        name = "BIG5" if _is_big5(data) else "GBK"
    else:
        return " text"
    file = path.name.removesuffix(".gz")
    convert = f"iconv -f {name} -t UTF-8 {file}"
    if path.suffix == ".gz":
        convert = f"gunzip -c {path.name} | iconv -f {name} -t UTF-8"
    return f" but, it seems, {name}: '{convert} > utf8-{file}' converts it"


def _is_big5(data: bytes) -> bool:
    """Whether what is read as Big5 has more signs of its common plane, 0xa4 to 0xc6, than what is read as GB 2312."""
    try:
        signs = [sign for sign in data.decode("big5") if _HAN.match(sign)]
    except UnicodeDecodeError:
        return False
    common = sum(0xA4 <= sign.encode("big5")[0] <= 0xC6 for sign in signs)
    read_as_gbk = [sign for sign in data.decode("gb18030") if _HAN.match(sign)]
    return common / max(1, len(signs)) > sum(_is_common_gb(sign) for sign in read_as_gbk) / max(1, len(read_as_gbk))


def _is_common_gb(sign: str) -> bool:
    """In the first level of GB 2312, whose rows are 0xb0 to 0xd7."""
    data = sign.encode("gb18030")
    return 0xB0 <= data[0] <= 0xD7 and data[1] >= 0xA1


def _share(characters: re.Pattern[str], data: bytes, codec: str) -> float:
    """Of what is not ASCII, if it is read so; 0 if it cannot be."""
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        return 0.0
    return len(characters.findall(text)) / max(1, sum(not character.isascii() for character in text))


def printable(text: str) -> str:
    """``text`` without control characters and halves of pairs, each of which becomes U+FFFD: others' words do not
    steer our terminals.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
