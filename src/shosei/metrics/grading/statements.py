"""What a text says about the options that it mentions: this one is the answer, that one is wrong, no, rather the other.

Regular expressions over texts in which each mention of an option is one character (``mentions``), by words of Chinese,
Japanese and English. ``selection`` applies them in order.
"""

from __future__ import annotations

import re

_X = "[\ue000-\ue7ff]"  # a mention; of a letter up to U+E3FF, of a text from U+E400 on
_ANY = "\ue000-\uf7ff"  # those that are denied or in doubt among them
_CLAUSE = rf"[^{_ANY}。.!?;,\n]"  # a character that ends no clause and mentions nothing


def _any(*words: str) -> str:
    return "(?:" + "|".join(words) + ")"


def _found(*words: str) -> re.Pattern[str]:
    return re.compile(_any(*words), re.IGNORECASE | re.MULTILINE)


_AND = (
    r"\s*" + _any("[、/&]", "和", "与", "與", "跟", "及", "以及", "或者?", "还有", "と", "や", "または") + r"\s*"
    r"|\s*,?\s*\b(?:and|or|nor)\b\s*"
)
_LIST = rf"{_X}(?:(?:{_AND}){_X}){{0,9}}+"
_COMMAS = rf"{_X}(?:(?:{_AND}|\s*,\s*){_X}){{0,9}}+"  # a comma may also begin a new clause
_SERIES = rf"(?:{_X}(?:\s*,\s*{_X}){{1,9}}(?:{_AND}){_X}|{_LIST})"  # A, B and C

# -- Forms ------------------------------------------------------------------------------------------------------------

MENTION = re.compile(_X)
DENIED, IN_DOUBT = re.compile("[\ue800-\uefff]"), re.compile("[\uf000-\uf7ff]")
SPACE = re.compile(rf"(?<=[^\x00-\x7f{_ANY}])[ \t]+(?={_X})|(?<={_X})[ \t]+(?=[^\x00-\x7f])")
# "Option B" and "B选项" are "B".
REFERENCE = _found(
    rf"\b(?:option|choice|answer|letter|statement)s?\s+(?={_X})",
    rf"(?:选项|選項|選択肢)\s*(?={_X})",
    rf"(?<={_X})\s*(?:选项|選項|项|項|番(?!目)|号)",
    rf"{_X}(?:\s*[/|,、]\s*{_X}){{2,25}}+\s*(?=:)",  # "Answer (A/B/C/D): B"
)
TICK, CROSS = re.compile("[✓✔☑✅⭕○〇]\ufe0f?"), re.compile("[✗✘❌×✕☓]\ufe0f?")
YES, NO = (
    re.compile(rf"(?<={_X})\s*[:–—-]\s*(?:{word})(?=\s*(?:[.,;!。、\n]|\Z))", re.IGNORECASE)
    for word in ("yes|true|right", "no|false")
)
# A line of a list of the options, or a letter with its text.
ENUMERATED = re.compile(rf"^[ \t>-]*({_X})\s*[.:)、]|([\ue000-\ue3ff])\s*[.:)、]\s*(?=[\ue400-\ue7ff])", re.MULTILINE)
LETTER_WITH_TEXT = re.compile(r"([\ue000-\ue3ff])[\s.:)\-—]*([\ue400-\ue7ff])(?=\s*(?:[\n。.,!;、]|です|$))")
TEXT_WITH_LETTER = re.compile(r"([\ue400-\ue7ff]) ?([\ue000-\ue3ff])(?=\s*(?:[\n。,!;]|です|\.?\s*\Z))")
LEAD = _found(
    rf"\A\s*(?:the\s+)?(?P<options>{_X})(?:\s*[.:)\-—。!]|\s*(?:です|だ|である)(?!\w)|\s*\n|\s*\Z|\s*[\ue400-\ue7ff])"
)
LINE = _found(rf"^[ \t>#-]*{_X}(?:[ .:)\-—]*[\ue400-\ue7ff])?[ \t]*[.。!]?[ \t]*$")
LAST_LINE = _found(rf"\n[ \t]*(?P<options>{_X})\s*[.。!]?\s*\Z")
# Where a model goes on with a question that nobody asked.
NEXT_QUESTION = _found(r"(?<=\n)[ \t]*(?:Question|Q|问题|问|题目|質問|問題|問)\s*\d*\s*:")

# -- Denials ----------------------------------------------------------------------------------------------------------

_IS_WRONG = _any(
    # zh
    r"(?<![没不无])(?<!没有)(?<!不是)错误?(?!不了)",
    "不正确|不對|不对|不符|(?<!而)不是|并非|不成立|不能?选|不合|不恰当|不准确|排除",
    # ja
    "不正解|可能性[はが](?:低|な)|誤(?!りな)(?!りはな)|間違(?!いな)(?!いあり)(?!いござ)|(?<!間)違(?:います|う|いです)",
    "正しくな|不適|当てはまらな|当たらな|除外|(?:では|じゃ)(?:な[いくか]|ありません)|とは[言い]え(?:な|ませ)",
    # en
    r"\b(?:is|are|was|were)(?:\s+\w+)?(?:\s+not|n't)\b(?!\s+(?:wrong|incorrect|false|only))",
    r"\b(?:is|are|was|were|seems?|looks?)\s+(?:very |quite |highly )?(?:unlikely|improbable|implausible)\b",
    r"\b(?:isn't|aren't|wasn't|can't|cannot)\b|\b(?:does|do|did)(?:\s+not|n't)\b",
    r"(?<!not )\b(?:wrong|incorrect|inaccurate|false|excluded|eliminated|ruled out|irrelevant)\b",
)
_NOT = (
    _any(
        "(?:并)?不是|不可能是|并非|而非|(?<!莫)非|不选|不應選|不能选|不应选|不该选|别选|并不|不算|不太|不怎么|没有|不存在|不属于|无",
        r"\b(?:not|isn't|aren't|wasn't|cannot be|can't be|rather than|instead of|neither|nor|none of|except)\b",
        r"\b(?:hardly|scarcely)\b|\b(?:anything|everything|all|any) but\b|\bnon-?",
        r"\bno(?=\s+[\ue400-\ue7ff])",
    )
    + r"\s*(?:option |choice |really |very |entirely |necessarily |a |an |the |any |"
    r"很|太|那么|完全|特别|任何|明显的?|什么|一[条个种句])*"
)
_EXCLUDE = _any("排除了?", "除了", r"\b(?:eliminate|exclude|rule out|ruling out|discard)\b") + r"\s*"
# After these the first of several mentions with commas between them is a clause's last word: "答案是B, A错".
_CLAUSE_GOES_ON = r"(?<![是为選选择は:])(?<!is )(?<!: )(?<!with )(?<!choose )(?<!pick )"

DENIALS = [
    _found(rf"(?:{_CLAUSE_GOES_ON}{_COMMAS}|{_LIST}){_CLAUSE}{{0,14}}?{_IS_WRONG}"),
    _found(rf"{_NOT}{_SERIES}(?!\s*就是)"),
    _found(rf"{_EXCLUDE}{_COMMAS}"),
    _found(rf"{_X}(?:で?も{_X})+で?も(?:な[いくか]|ありません)"),
    # a text of which there is nothing: ネガティブな言葉がない
    _found(
        r"[\ue400-\ue7ff][なの]\w{1,8}?(?<!間違い)(?<!誤り)(?<!問題)(?<!疑い)[がはも](?:な[いく]|ありません|見られな)"
    ),
]

# -- Doubts -----------------------------------------------------------------------------------------------------------

_NEAR = rf"{_CLAUSE}{{0,40}}?"
_CONTRAST = (
    r"(?=[^\n]{0,60}?"
    + _any(
        "但|不过|然而|其实|实际|却|错误|不对",
        "(?:です|ます|でした|ました|だ|た|い|る)(?:が|けれど|けど)|しかし|実際|実は|でも、",
        r"\b(?:but|however|yet|actually|in fact|not|wrong|incorrect)\b|n't\b",
    )
    + ")"
)
_SEEMS = _any(
    "看起来|看上去|看似|似乎|乍看|乍一看|表面上|貌似|好像|一見",
    r"\b(?:at first(?: glance| sight)?|could be|might be|may be)\b",
)
_SOMEBODY_THINKS = _any(
    "(?:有人|有些人|很多人|许多人|不少人|人们|大家|你|有的同学)(?:可能|也许|往往|常常|容易|都)?会?(?:误)?(?:认为|以为|觉得|说|选)",
    r"\b(?:many|some|most|others|people|students|you|one|they) (?:\w+ ){0,3}?"
    r"(?:think|say|assume|argue|believe|guess|claim|choose|pick|answer)\b",
    r"\b(?:people|students|others) (?:often|usually|sometimes|commonly)\b",
)
_IF = _any("如果|要是|假如|假设|倘若", "もし", r"\bif\b")
DOUBTS = [
    _found(rf"{_any(_SEEMS, _SOMEBODY_THINKS)}{_NEAR}{_LIST}{_CONTRAST}"),
    _found(rf"{_IF}[^。.\n{_ANY}]{{0,60}}?{_X}{_CONTRAST}"),
    _found(
        rf"{_X}{_CLAUSE}{{0,10}}?"
        + _any(
            "看起来|看上去|看似|似乎|貌似|好像",
            "よう|みたい|そう(?=です|だ)|見え|思え|思われ|思いま?した|思った|思いがち|思いき",
            r"\b(?:seems?|looks?|appears?|sounds?|is (?:tempting|plausible|attractive|possible))\b",
        )
        + _CONTRAST
    ),
    _found(rf"{_X}{_CLAUSE}{{0,10}}?{_any('不一定|未必|不见得', 'とは限|とはかぎ|思われがち|でしょうか|だろうか')}"),
    _found(rf"{_X}{_CLAUSE}{{0,10}}?(?:とは思[いえわ]|はずが|かもしれ(?:ませんが|ないが)|[言い]いたいところ)"),
    _found(
        rf"(?:误选|误认为|误以为|迷惑|怎么会是|难道|\b(?:doubt|unsure|not (?:sure|certain)|nobody|no one|used to be)\b)"
        rf"{_NEAR}{_X}"
    ),
    _found(rf"{_X}(?:以外|之外)"),
    _found(rf"{_X}\s+would(?: only)?(?: have)? (?:be|been)\b[^.\n]{{0,40}}?\bif\b"),
    _found(rf"\b(?:common|frequent|typical|popular|easy) (?:mistake|misconception|error|trap|answer)\b{_NEAR}{_X}"),
    _found(
        rf"\b(?:though|although|while|whilst)\s+{_X}\s+"
        r"(?:seems?|looks?|appears?|sounds?|may|might|could|is (?:very |quite |also )?"
        r"(?:tempting|plausible|attractive|possible|appealing|reasonable|close))\b"
    ),
    # "the wrong one is A, the right one is B"
    _found(rf"(?:間違っている|誤っている|错误)的?のは{_X}(?=で,?、?\s*正しい)"),
    _found(rf"(?:错误|错)的是{_X}(?=\s*[,;]\s*(?:正确|对)的是)"),
]

# -- Statements -------------------------------------------------------------------------------------------------------

# What stands between "the answer" and an option denies nothing and doubts nothing.
_DOUBT = _any(
    "不|非|没|未|错|违|可能|也许|或许|以外|除|说明|解析|理由|之间|哪",
    "誤|かも|とは|中から",
    r"\b(?:not|never|wrong|incorrect|might|may|could|cannot|can't|possibly|between|among|because|explanation|whether|if|which|what)\b|n't",
)
_LINK = rf"(?:(?!{_DOUBT}){_CLAUSE}){{0,40}}?(?::\s*)?"
_ANSWER = [
    # zh
    "答案|解答|结论|应该?是|應該是|应为|而是|归[为入]|归类为|判为|选(?![项出])择?(?!题|项)|選(?![項択])|(?:所以|因此|故)[是为]",
    "(?:正确|合适|恰当|符合题意|错误|不正确)的?(?:选项|说法|答案)?(?:是|为|:)",
    # ja
    r"正解|答え|回答(?!者)|結論|選択(?!肢)(?:は|:)",
    r"正しくは|(?:正しい|最も適切な|適切な|誤っている|間違っている)(?:選択肢|もの|の)?(?:は|:)",
    # en
    r"\banswer\b(?!s|\s+(?:choice|option|each))|\bsolution\b|boxed",
    r"\b(?:choose|chose|pick|select|selected|go with|going with|opt for|i'd say|i would say)\b",
    r"\bi(?:'d| would)? (?:lean|prefer)\b|\bfavou?rs\b",
    r"\b(?:correct|right|best|appropriate|final)\s+(?:option|choice|one|statement|match)\b",
    r"\b(?:wrong|incorrect|false)(?:\s+(?:one|option|statement))?\s+is\b",
    rf"\bbut(?: rather)?(?: it's| it is)?(?=\s*{_X})",
    # what is left, and what follows
    rf"(?:剩下的?|残りは|\bleav(?:es|ing))(?=\s*{_X}(?!{_AND}))",
    rf"(?:\b(?:so|thus|therefore|hence)|よって|したがって|ゆえに|因此|所以|故)(?=,?\s*(?:it's|it is)?\s*{_X})",
]
_CLASS = [
    "(?:综合|总体|整体|总的)(?:来看|来说|而言|起来),?|情感|情绪|分类|类别|标签|属于|判断|意图|关系|总体|整体|总的来说",
    "類別|感情|ラベル|分類|評価は|判定|意図|関係|全体として|全体的に",
    r"\b(?:label|sentiment|category|class|classified|classification|intent|relation|relationship|overall)\b",
]
_IS_THE_ANSWER = _any(
    r"を(?:選(?!ば)|えら(?!ば))|に(?:なり|なる|します|する|決)|(?:が|は)(?:正解|答え)(?!では|じゃ)",
    r"\s+is the (?:correct |right |best )?(?:answer|choice|option)",
)


def _statement(words: list[str]) -> re.Pattern[str]:
    return _found(rf"{_any(*words)}{_LINK}(?P<options>{_LIST})", rf"(?P<option>{_X}){_IS_THE_ANSWER}")


ANSWER_IS, CLASS_IS = _statement(_ANSWER), _statement([*_ANSWER, *_CLASS])
RIGHT = _found(
    rf"(?P<options>{_LIST})(?:(?!{_DOUBT}){_CLAUSE}){{0,14}}?"
    + _any(
        r"正确|正確|对的|对(?=[。.!,;\s]|$)|符合|合致|合适|恰当|最佳|答案|没错",
        "正解|正しい|適切|適当|ふさわしい|当てはまる|答え|間違いな",
        r"\bcorrect\b|\bright\b(?! (?:after|before|side|hand|now|away|from|to (?!me\b)))|\bbest\b(?! known)",
    )
    + r"(?!く?(?:では|じゃ)?(?:な[いく]|ありません)|とは[言い]え|吗|\?)"
)

# -- Turns ------------------------------------------------------------------------------------------------------------

CORRECTION = _found(
    r"(?:(?<=[。.!?,;:\n…—])|^)\s*(?:(?:oh|hmm|but)[, ]+)?"
    + _any(
        r"\b(?:wait|actually|sorry|correction|on second thought|scratch that|let me correct|i mean|i made a mistake)\b",
        r"\bno\b(?=\s*[,.!—-])",
        r"不[对對](?=[。,.!:\s…])|等等|等一下|更正|纠正|修正|抱歉|啊不|哦不|不,|我错了|重新考虑",
        "いや|いいえ|いえ|違う|ちがう|違います|訂正|失礼|間違えました|すみません|待って|待てよ|やっぱり|やはり",
    )
)
NEAR_CORRECTION = re.compile(rf"[\s.,!]*(?:(?!\n){_CLAUSE}|,){{0,14}}(?P<options>{_X})")
CONCLUSION = _found(
    r"\b(?:so|therefore|thus|hence|final(?:ly)?|conclusion|but|however|in fact)\b|boxed",
    "综上|因此|所以|故|最终|总之|但|其实",
    "よって|したがって|従って|ゆえに|以上|最終|つまり|結論|しかし|ただし|実は",
)
