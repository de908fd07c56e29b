"""Units of length, mass, area, volume, time and temperature, in three languages."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from shosei.agents.tools.calculator import show
from shosei.agents.tools.numerals import KANJI, read

# Names of a unit -> how many of the first one it is. 尺, 坪 and 升 are Japan's (1891 law), 斤 and 亩 China's.
_TABLES: tuple[dict[str, str], ...] = (
    {
        "m 米 公尺 メートル": "1",
        "km 公里 千米 キロメートル キロ": "1000",
        "cm 厘米 センチメートル センチ": "1/100",
        "mm 毫米 ミリメートル ミリ": "1/1000",
        "in 英寸 インチ": "254/10000",
        "ft 英尺 フィート": "3048/10000",
        "mi 英里 マイル": "1609344/1000",
        "尺": "10/33",
    },
    {
        "g 克 グラム": "1",
        "kg 公斤 千克 キログラム": "1000",
        "mg 毫克 ミリグラム": "1/1000",
        "t 吨 トン": "1000000",
        "斤": "500",
        "lb 磅 ポンド": "45359237/100000",
    },
    {
        "m2 平方米 平方メートル": "1",
        "km2 平方公里 平方キロメートル": "1000000",
        "ha 公顷 ヘクタール": "10000",
        "坪": "400/121",
        "亩": "2000/3",
    },
    {"L 升 公升 リットル": "1", "mL 毫升 ミリリットル": "1/1000", "m3 立方米 立方メートル": "1000"},
    {
        "s 秒": "1",
        "min 分钟 分": "60",
        "h 小时 時間": "3600",
        "d 天 日": "86400",
        "week 周 星期 週間": "604800",
    },
)
_SIZES = {
    name: (dimension, Fraction(size))
    for dimension, table in enumerate(_TABLES)
    for names, size in table.items()
    for name in names.split()
}
_CELSIUS = ("℃", "°C", "摄氏度", "C")
_FAHRENHEIT = ("℉", "°F", "华氏度", "F")
_QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?)\s*(\D.*)")


def convert(quantity: str, unit: str) -> str:
    """Converts a quantity to another unit."""
    text = unicodedata.normalize("NFKC", quantity).strip().replace(",", "")
    if written := KANJI.match(text):
        text = f"{read(written[0])}{text[written.end() :]}"
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise ValueError(f"'{quantity}' is not a quantity: write it as 3km")
    value, given, wanted = Fraction(match[1]), match[2].strip(), unicodedata.normalize("NFKC", unit).strip()
    return f"{show(_converted(value, given, wanted))}{unit.strip()}"


def _converted(value: Fraction, given: str, wanted: str) -> Fraction:
    if given in _CELSIUS and wanted in _FAHRENHEIT:
        return value * 9 / 5 + 32
    if given in _FAHRENHEIT and wanted in _CELSIUS:
        return (value - 32) * 5 / 9
    for name in (given, wanted):
        if name not in _SIZES:
            raise ValueError(f"unit '{name}' is not known")
    (dimension, size), (other, target) = _SIZES[given], _SIZES[wanted]
    if dimension != other:
        raise ValueError(f"'{given}' is not measured in '{wanted}'")
    return value * size / target
