"""The fifty languages of XTREME-R: who they are, and how much of each XLM-R has read.

`pretraining_gib` is the size of the language in CC-100 (Conneau et al. 2020, arXiv 1911.02116, Table 6). Resource groups:
unseen (absent from CC-100), low (< 5 GiB), mid (5 to < 50), high (>= 50).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from xdist.errors import UserError, unknown


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    name: str
    family: str
    script: str
    pretraining_gib: float

    @property
    def group(self) -> str:
        if self.pretraining_gib == 0:
            return "unseen"
        return "low" if self.pretraining_gib < 5 else "mid" if self.pretraining_gib < 50 else "high"


GROUPS = ("unseen", "low", "mid", "high")

# Ordered by pre-training size, as every table and plot of xdist shows them.
LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("ht", "Haitian Creole", "French-lexified creole", "Latin", 0),
        Language("qu", "Quechua", "Quechuan", "Latin", 0),
        Language("wo", "Wolof", "Niger-Congo", "Latin", 0),
        Language("yo", "Yoruba", "Niger-Congo", "Latin", 0),
        Language("jv", "Javanese", "Austronesian", "Latin", 0.2),
        Language("pa", "Punjabi", "Indo-European: Indo-Aryan", "Gurmukhi", 0.8),
        Language("af", "Afrikaans", "Indo-European: Germanic", "Latin", 1.3),
        Language("sw", "Swahili", "Niger-Congo", "Latin", 1.6),
        Language("gu", "Gujarati", "Indo-European: Indo-Aryan", "Gujarati", 1.9),
        Language("eu", "Basque", "isolate", "Latin", 2.0),
        Language("my", "Burmese", "Sino-Tibetan", "Burmese", 2.0),
        Language("mr", "Marathi", "Indo-European: Indo-Aryan", "Devanagari", 2.8),
        Language("tl", "Tagalog", "Austronesian", "Latin", 3.1),
        Language("te", "Telugu", "Dravidian", "Telugu", 4.7),
        Language("ur", "Urdu", "Indo-European: Indo-Aryan", "Perso-Arabic", 5.7),
        Language("et", "Estonian", "Uralic", "Latin", 6.1),
        Language("kk", "Kazakh", "Turkic", "Cyrillic", 6.4),
        Language("az", "Azerbaijani", "Turkic", "Latin", 6.5),
        Language("ml", "Malayalam", "Dravidian", "Malayalam", 7.6),
        Language("bn", "Bengali", "Indo-European: Indo-Aryan", "Bengali", 8.4),
        Language("ms", "Malay", "Austronesian", "Latin", 8.5),
        Language("ka", "Georgian", "Kartvelian", "Georgian", 9.1),
        Language("ta", "Tamil", "Dravidian", "Tamil", 12.2),
        Language("lt", "Lithuanian", "Indo-European: Baltic", "Latin", 13.7),
        Language("hi", "Hindi", "Indo-European: Indo-Aryan", "Devanagari", 20.2),
        Language("tr", "Turkish", "Turkic", "Latin", 20.9),
        Language("ar", "Arabic", "Afro-Asiatic", "Arabic", 28.0),
        Language("nl", "Dutch", "Indo-European: Germanic", "Latin", 29.3),
        Language("it", "Italian", "Indo-European: Romance", "Latin", 30.2),
        Language("he", "Hebrew", "Afro-Asiatic", "Hebrew", 31.6),
        Language("pl", "Polish", "Indo-European: Slavic", "Latin", 44.6),
        Language("el", "Greek", "Indo-European: Greek", "Greek", 46.9),
        Language("pt", "Portuguese", "Indo-European: Romance", "Latin", 49.1),
        Language("es", "Spanish", "Indo-European: Romance", "Latin", 53.3),
        Language("ko", "Korean", "isolate (Koreanic)", "Hangul", 54.2),
        Language("fi", "Finnish", "Uralic", "Latin", 54.3),
        Language("fr", "French", "Indo-European: Romance", "Latin", 56.8),
        Language("bg", "Bulgarian", "Indo-European: Slavic", "Cyrillic", 57.5),
        Language("hu", "Hungarian", "Uralic", "Latin", 58.4),
        Language("ro", "Romanian", "Indo-European: Romance", "Latin", 61.4),
        Language("zh", "Chinese", "Sino-Tibetan", "Han", 63.5),
        Language("de", "German", "Indo-European: Germanic", "Latin", 66.6),
        Language("ja", "Japanese", "Japonic", "Kana + Han", 69.3),
        Language("th", "Thai", "Kra-Dai", "Thai", 71.7),
        Language("uk", "Ukrainian", "Indo-European: Slavic", "Cyrillic", 84.6),
        Language("fa", "Persian", "Indo-European: Iranian", "Perso-Arabic", 111.6),
        Language("vi", "Vietnamese", "Austro-Asiatic", "Latin", 137.3),
        Language("id", "Indonesian", "Austronesian", "Latin", 148.3),
        Language("ru", "Russian", "Indo-European: Slavic", "Cyrillic", 278.0),
        Language("en", "English", "Indo-European: Germanic", "Latin", 300.8),
    )
}


def language(code: str) -> Language:
    """The language of a two-letter code. Raises UserError with the nearest valid code."""
    try:
        return LANGUAGES[code]
    except KeyError:
        raise UserError(unknown("language", code, LANGUAGES)) from None


def by_size(codes: Iterable[str]) -> list[str]:
    """`codes` from least to most pre-training text; codes outside the fifty (BUCC, NTREX) come first."""
    order = {code: position for position, code in enumerate(LANGUAGES)}
    return sorted(codes, key=lambda code: (order.get(code, -1), code))
