"""The words that say which number is the answer, in Chinese, Japanese and English. For folded text in lower case."""

from __future__ import annotations

import re

from shosei.metrics.grading.numbers.markup import BOX


class Cue:
    """Words of one meaning. Those of the Latin alphabet are looked for apart: it is several times as fast."""

    def __init__(self, cjk: str, latin: str) -> None:
        self._cjk = re.compile(cjk)
        self._latin = re.compile(latin)

    def all(self, text: str) -> list[re.Match[str]]:
        """Every place where one of the words stands, in order."""
        found = list(self._latin.finditer(text))
        if not text.isascii():
            found += self._cjk.finditer(text)
            found.sort(key=lambda match: match.start())
        return found


QUESTION = re.compile(r"\n\s*(?:question|q|问题|問題|题目|質問)\s*\d*\s*:")
VERIFICATION = Cue(
    "验证|驗證|检验|验算|檢驗|検算|確かめ|確認",
    r"\blet(?:'s| me| us) (?:verify|check|double-check|confirm)|\bverif(?:y|ication)\b|\bcheck:",
)
CORRECTION = Cue(
    "不对(?<!对不对)(?![称等应])|不是的|等等[,。!:]|更正|纠正|订正|訂正|修正[:,すし]|[算说說写弄搞]错|错了|い[やえ][、,]|違[うい]"
    "|違った|ちがう|間違[えいっ]|待って",
    r"\b(?:wait|correction|scratch that|oops|(?:was|is|that's) (?:wrong|incorrect|not right|a mistake)"
    r"|made an? (?:mistake|error))\b|\bno,|\bactually,? (?=it|the answer|that)",
)
HASHES = re.compile(r"#{4,}[ \t]*")
STATED = Cue(
    r"答案\W{0,2}(?:[^\S\n]*(?:就|应该|应当|应|應該|便)?(?:是|为|為|等于)|\s*[:=\]】])(?![不否])[^\S\n]*:?|答えは|答え\W{0,2}[:=\])】]"
    r"|(?:正解|解答|回答|結論)(?:は|\W{0,2}[:\]】])|正しくは|正确的?是|而是|答\W?:(?<![^\W\d]答:)|【答】",
    r"\banswer\b[^.\n\d]{0,60}?(?:\bis\b(?: ?:)?|\b(?:would|should) be\b|\bequals\b|[:=])",
)
FINAL = re.compile("最终|最終|最后|最後|final")
CONCLUSION = Cue(
    r"所以|因此|因而|故(?=[,答共总所有需应为\d ])|于是|综上|總之|总之|由此|∴|よって|したがって|従って|ゆえに|故に"
    r"|つまり|すなわち|そのため|ですから|だから|ので(?![すしはあ])",
    r"\b(?:therefore|thus|hence|consequently|so)\b",
)
RESULT = Cue(
    r"一共|总共|總共|共计|共計|合计|合計|总计|総計|(?<!占)总数(?!的)|全部で|剩下?|还剩|還剩|残り|等于|得(?=\s*[-\d$¥])|得到|得出"
    r"|结果[是为:]|結果は|即|共有?(?=\s*[\d$¥])|合わせ(?:て|ると)|と[^、,\d]{0,6}\d+[^、,\d]{0,4}で(?=\d)",
    r"\b(?:in total|altogether|a total of|total of|the total is|leaving|makes|equals)\b",
)
SENTENCE_END = re.compile(r"[。!?;\n]|\.(?=\s|$)(?<!\b(?:mr|ms|dr|st|vs|no)\.)(?<!\bmrs\.)(?<!approx\.)")
ALTERNATIVE = re.compile(r"[\s$]*(?:或者?|和|与|か|と|または|or|and|,|、|/)[\s$]*")
EQUALS = re.compile("[=≈]")
VARIABLE = re.compile(r"(?<![a-z\d])([a-z]\d?|[甲乙丙丁])\s?[=:]\s?[-\d]")
EITHER = re.compile(r"=\s?[-\d./]+\s?(?:或者?|または|か|or\b)")  # x=2 or x=3
BRACKETED = re.compile(r"\([^()]*\)")

# What may stand between a cue and its number, or before a number that is a sentence of its own.
FILLER = re.compile(
    rf"(?:[\s:=,、\"'「『“(\[$¥*≈{BOX}]|应该是|應該是|应为|就是|[是为為]|大约|大概|约为|[约約]|およそ|だいたい"
    r"|ほぼ|一共|总共|總共|共有?|有|等于|全部で|合計で?|需要|just|simply|about|approximately|around|roughly|exactly"
    r"|equal to|it'?s|it is|it should be|should be|that is|that's|a total of|in total|x ?=)*"
)
# What may stand after one that is: its unit, です.
AFTER_LONE = re.compile(
    r"\s*(?:[^\W\d_]{1,4}|[°℃℉'\"]{1,2}[cf]?|[^\W\d_]{1,12}(?:\s[^\W\d_]{1,12})?)?(?:/\s?[^\W\d_]{1,8})?(?:\^\d)?\s*"
    r"(?:です|でした|だ|である|になります|となります|整|也)?[\s.。!,$)\]⟧\"'」』”}]*"
)
NO_UNIT = re.compile(r"[是有为的はがをにもの]|\b(?:is|are|was|of|and|or)\b")
