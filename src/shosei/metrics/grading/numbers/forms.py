"""How numbers are written, and what looks like one and is not. For folded text (``markup.plain``), in lower case."""

from __future__ import annotations

import re

from shosei.metrics.grading.numbers.markup import FACTORIAL
from shosei.metrics.grading.numbers.numerals import AND_PART, ENGLISH, KANA_WORDS

_ARABIC = (
    r"(?:\d{1,3}(?:,\d{3})+(?![\d,]*\d)|\d{1,3}(?:\ \d{3})+(?![\d,])|\d{1,3}(?:'\d{3})+(?!\d)|\d+)(?:\.\d+)?"
    r"|(?<![\d.])\.\d+"
)
_HAN = "〇零一二三四五六七八九"
_UNIT = r"[万萬亿億京]|兆(?![字瓦赫帕])|千(?![克米瓦卡赫帕焦伏升])|百(?!分[点點比]|帕)"
_HAN_FIRST = (
    rf"(?:[{_HAN}廿卅卌十]|千(?![克米瓦卡赫帕焦伏升万])|百(?!分[点點比之の]|帕)"
    r"|(?<![\d一二三四五六七八九十])[两両兩])"
)
_HAN_MORE = (
    rf"(?:[{_HAN}廿卅卌十]|(?:(?<=\d)\ )?(?:{_UNIT})|(?<=[千百万萬亿億兆零])[两両兩]"
    rf"|(?<=[\d{_HAN}十百千万萬亿億][十百千万萬亿億兆京零])\d[\d,]*(?!\.?\d))"
)
_DECIMALS = rf"(?:[点・][{_HAN}]+(?![分点])[千百万亿億]?)"
_FORMAL_DIGIT = "壹壱贰貳弐叁肆柒捌玖"
_FORMAL = f"[{_FORMAL_DIGIT}伍陆陸漆參参零拾佰仟百千万萬亿億]"  # 参加 and 大陆 hold some of them: a unit is wanted
_FORMAL_RUN = rf"(?=\w{{0,20}}[拾佰仟万萬])[{_FORMAL_DIGIT}伍陆陸漆參参]{_FORMAL}+|[{_FORMAL_DIGIT}]{_FORMAL}*"
_RUN = rf"(?:(?:{_ARABIC})(?:{_HAN_MORE})*|{_FORMAL_RUN}|{_HAN_FIRST}(?:{_HAN_MORE})*{_DECIMALS}?)"

_SHORT = rf"[\d{_HAN}十廿]{{1,4}}"  # as in dates
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DATE = (
    rf"{_SHORT}年\ ?{_SHORT}月(?:\ ?{_SHORT}[日号])?|{_SHORT}月\ ?{_SHORT}[日号]|\d{{4}}-\d\d?-\d\d?(?!\d)|\d+/\d+/\d+"
    rf"|{_MONTH}\ \d\d?(?:st|nd|rd|th)?\b(?:,\ ?\d{{4}})?|\b\d\d?(?:st|nd|rd|th)?\ {_MONTH}\ \d{{4}}\b"
)
_TIME = rf"\d+(?::\d+)+(?:\ ?[ap]\.?m\b\.?)?|{_SHORT}[点點時时](?:{_SHORT}分(?:{_SHORT}秒)?|半)|\d\d?\ ?[ap]\.?m\b"
_LABEL = (
    rf"第\ ?(?P<nth>{_RUN})|\b(?P<ordinal>\d+)(?:st|nd|rd|th)\b"
    r"|(?:\b(?:step|question|problem|part|case|example|no\.|stage|method|option)|选项|選択肢|步骤|步驟|ステップ|手順|问题|問題|方法|情况|問|题)"
    r"\ ?(?P<labelled>\d+)"
)
_NAME = r"\d+(?:\.\d+){2,}|(?!(?:usd|eur|rmb|cny|jpy|gbp)\d)[a-z_]+-?\d[a-z\d_.]*|0x[\da-f]+|[\^_]-?\d+"
# Words that hold the character of a digit and mean no number.
_IDIOM = (
    "一(?:共|起|般|定|些|样|樣|直|下|点儿|边|旦|方|切|致|旁|步|番|緒|体|応|覧|部|种|次|生|気|度|例|律|系列)"
    "|唯一|统一|統一|同一|单一|万一|万が一|逐一|之一|不一|十分(?![钟鐘間之の])|千万[别不]|百度|百货|百貨|三角|四[边辺角季周川国]|五[角感]"
    r"|(?<![每一二三四五六七八九十两\d])(?:周|星期|礼拜)[一二三四五六](?![十百千万次天个個小元本页块])"
    "|六角|八角|九州|三重県|千葉|八百屋|二次|两者|两边|二者"
)
_SIGN = r"[-+±√]\ ?|[▲△]|マイナス\ ?|(?<![勝胜正])[負负]の?\ ?|\bminus\ |\bnegative\ |零下\ ?|氷点下\ ?"
_CURRENCY = r"(?:us|hk|nt|a|c)?\$|[¥€£₩]|\b(?:usd|eur|rmb|cny|jpy|gbp)\ ?|人民币\ ?"
# Where any of these can begin; it only saves time.
_BEGINS = (
    r"[-+±√▲△.\d$¥€£₩^_〇零一二三四五六七八九十廿卅卌百千两両兩壹壱贰貳弐叁肆伍陆陸柒漆捌玖參参マ负負氷人半"
    "第步ス手問问題题方情唯统統同单万逐之不周星礼俩ゼひふみよいむなやこ]"
)

NUMBER = re.compile(
    rf"""
(?:(?={_BEGINS})|(?<![a-z])(?=[a-z]))(?:
  (?P<idiom>{_IDIOM})
| (?P<date>{_DATE})
| (?P<time>{_TIME})
| (?P<name>{_NAME})
| (?P<label>{_LABEL})
| (?P<sign>{_SIGN})? (?P<currency>{_CURRENCY})? (?P<inner>-(?=[\d.]))?
  (?:
    (?P<scientific>(?:{_ARABIC})\ ?×\ ?10\^-?\d+|(?:{_ARABIC})e[-+]?\d+(?![\da-z])|10\^-?\d+)
  | (?P<power>\d+(?:\.\d+)?\^-?\d+)
  | (?P<fraction>(?:\d+(?:\ {{1,2}}|又|と|\ and\ ))?(?:{_ARABIC})\ ?/\ ?(?:{_ARABIC}))
  | (?P<parts>(?:(?P<whole>{_RUN})[又と])?(?P<below>{_RUN}|[百千万])分[之の]\ ?(?P<above>{_RUN}))
  | (?P<half>一半|半分|百分百)
  | (?P<half_alone>(?:\ba\ )?\bhalf(?:\ an?\b(?!\ \d)|(?=\s*(?:[^\w\s]|$)))|半(?=[个個小天年月斤公米日时時箱块瓶杯]))
  | (?P<kana>(?<![ァ-ヺー])(?:{"|".join(KANA_WORDS)})(?![ァ-ヺー]))
  | (?P<both>俩)
  | (?P<plain>{_RUN})
  | \b(?P<english>{ENGLISH})\b
  )
)
""",
    re.VERBOSE,
)

# What makes a number a part of an expression: 2π, 3x, 5i, 4!, log 2.
FACTOR = re.compile(rf" ?[π√]|[xyi]\b|{FACTORIAL}")
FUNCTION = re.compile(
    r"(?:\b(?:half|third|quarter|thirds|quarters) of |\b(?:twice|double|triple) "
    r"|\b(?:log|ln|lg|exp|sin|cos|tan|sqrt)\b(?:_?\d+)?\s*\(?|π\s?[×/*]\s?)$"
)
ESTIMATE = re.compile(r"[多几幾余数]|\s?余り|\+(?!\s?[-\d(.$¥√])")  # 30多, 三十几, 30+
# A number that is only a bound. What is asked for at least or at most has its bound as its answer (至少5个).
BOUND = re.compile(
    r"(?:(?:[<≤≥]|(?<![-=])(?<![a-z\"]{2})>)=?|(?:more|less|fewer|greater|larger|smaller|higher|lower) than"
    r"|\b(?:over|under|above|below)|不到|不足|不超过|超过|多于|少于|大于|小于|高于|低于)\s*[$¥€]?$"
)
BOUND_AFTER = re.compile(r"[^\d\s,、。]{0,3}?(?:以上|以下|以内|未満|弱(?!い)|を?超え|を?上回|を?下回|より[多少大小])")
ESTIMATE_BEFORE = "几幾数何"  # 几百, 数十
PERCENT = re.compile(r" ?(?:%|per ?cent\b|パーセント)")
PER_MILLE = re.compile(r" ?‰")
TENTHS = re.compile(  # 3割5分2厘, and Chinese 成 where it ends no word
    rf"割(?!り[算切])(?:([\d{_HAN}])分)?(?:([\d{_HAN}])厘)?|成(?![为為员員果功立绩績本长長年人分熟就品])"
)
SCALE = re.compile(r" ?(hundred|thousand|million|billion|trillion|dozen)s?(?![a-z])|(k)(?![a-z])")
MONEY_SCALE = re.compile(r"(?:m|b|bn)\b")  # of $5m; 5m is a length
AND_PARTS = re.compile(AND_PART)
AND_A_HALF = re.compile(r"(?:个|個|倍|年|天|日|時間|小时|公斤|斤|米|元|块|歳|岁|度)半")

TENTHS_OF_MONEY = re.compile(rf"块([1-9{_HAN[2:]}])(?=\s*(?:[^\w\s]|钱|$))")  # 3块5

COUNTED = (
    "公里|千米|平方米|厘米|毫米|メートル|公斤|千克|小时|小時|時間|分钟|分鐘|分間|年間|元|角|分|块|毛|米|斤|两|克|時|时|秒|天|日|周|週|个月"
    "|か月|ヶ月|月|年|円|銭|度|个|個|人|cm|mm|km|kg|mg|ml|m|g|l|h|hours?|minutes?|mins?|seconds?|days?|weeks?|months?|years?"
    "|feet|foot|ft|inches|pounds?|lbs?|ounces?|oz|dollars?|cents?"
)
_OPERATOR = (
    r"[-+×÷*/~]|→|加上?|减去?|減|乘以?|除以|到|至|から|足す|引く|かける|割る|たす|ひく"
    r"|\b(?:plus|minus|times|to|through)\b"
)
_LISTED = r"[,、/;&]|和|与|與|或者?|还是|と|か|や|または|あるいは|もしくは|\bor\b|\band\b"
# What may stand between two numbers that are one thing: 3+5, 3か5, 3 apples and 5 pears, 3元5角, 2 hours 30 minutes.
JOINED = re.compile(
    rf"[\s)]*(?:{COUNTED})?[\s(]*(?:{_OPERATOR})[\s(]*|(?P<listed>[^,.;。、:=\n]{{0,12}}?\s*(?:{_LISTED})\s*)"
    rf"|\ ?(?:{COUNTED})(?:\ and)?\ ?|\s+"
)
BEFORE_OPERATOR = re.compile(rf"[\s)]*(?:{COUNTED})?\s*")

GIVEN = re.compile(  # a quantity that is known already: the 2 houses, 这12公里
    r"(?:\b(?:the|these|those|this|that|his|her|their|its|each|every|per)\s|[这這那该該每毎]\s?|[そこあ]の|これらの)$"
)
GIVEN_AFTER = re.compile(r"[^\d\s,、。]{0,3}?(?:あたり|当たり|につき|ごとに|毎に|のうち|中(?=\d))")
# What a sentence begins from: 3年後には28歳, after a 20% discount it costs $15. It counts if there is no other number.
SETTING = re.compile(r"(?:^|\n|[.,:] )(?:after|with) an? $")
SETTING_AFTER = re.compile(r"[^\d\s,、。]{0,3}?後には|引き[ので後]|\s?off\b")
DENIED = re.compile(r"(?:不是|并非|並非|不等于|不为|\bnot|n't|≠)\s*(?:just |only )?$")
DENIED_AFTER = re.compile(r"[^\d\s,、。]{0,4}?(?:では?な[くい]|じゃな[くい]|でな[くい]|ではあり)")
KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
