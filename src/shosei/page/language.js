// The language of a text, told by its script: Han glyphs differ between Chinese and Japanese.

const KANA = /[\p{Script=Hiragana}\p{Script=Katakana}\u30fc\uff66-\uff9f]/u;
const HANGUL = /\p{Script=Hangul}/u;
const HAN = /\p{Script=Han}/u;
// Common characters that only one of the three orthographies has. What two of them share, as 時 and 学, tells nothing.
const SIMPLIFIED = /[们这说见时对过还样吗经问题关开么给让进话语认识应该现长东车马门间听请谢谁爱书习业务发个从众优传伤华单卖卫历压员啊喔呢]/u;
const JAPANESE = /[気図売広転駅読続験働込畑峠辻円県団対応変実帰様沢渋楽覚観鉄関険歳歩毎戦説経伝単圧歴従]/u;
const TRADITIONAL = /[們這說對沒樣嗎經關麼讓應聽學發從眾傳單賣歷壓國會圖氣實變點來當數樂覺觀鐵歲臺灣]/u;

/**
 * A BCP 47 tag, or "" for what cannot be told. Kana make it Japanese, hangul Korean. Han alone has the language of
 * which it has a character of its own; without one, that of `before`, the text that it answers or follows, and at
 * last that of the page.
 */
export function languageOf(text, before = "", page = "") {
  if (KANA.test(text)) return "ja";
  if (HANGUL.test(text)) return "ko";
  if (!HAN.test(text)) return "";
  if (TRADITIONAL.test(text)) return "zh-TW"; // first, because 啊, 喔 and 呢 are written there too
  if (SIMPLIFIED.test(text)) return "zh-CN";
  if (JAPANESE.test(text)) return "ja";
  const han = (tag) => tag.startsWith("zh") || tag === "ja";
  return [before, page].find(han) ?? "zh-CN";
}
