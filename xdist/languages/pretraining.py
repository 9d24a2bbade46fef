"""How much text an encoder has read of each language.

Resource groups: unseen (none), low (below 5 GiB), mid (5 to below 50), high (from 50 on); what is no language is `unknown`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from xdist.languages.codes import found, language

GROUPS = ("unseen", "low", "mid", "high")
UNKNOWN = "unknown"
LOW, MID = 5.0, 50.0  # GiB, the upper bounds of two groups


@dataclass(frozen=True)
class Pretraining:
    """`gib` by code: GiB of text; what is not listed was not read."""

    name: str
    source: str
    gib: Mapping[str, float]

    @cached_property
    def _by_key(self) -> dict[tuple[str, str], float]:
        return {language(code).key: size for code, size in self.gib.items()}

    def size(self, code: str) -> float | None:
        """GiB of a language in any code; None where it is not known. A language in another script than was read is unseen."""
        one = found(code)
        return self._by_key.get(one.key, 0.0) if one else None

    def group(self, code: str) -> str:
        size = self.size(code)
        if size is None:
            return UNKNOWN
        return "unseen" if size == 0 else "low" if size < LOW else "mid" if size < MID else "high"


def _sizes(text: str) -> dict[str, float]:
    words = text.split()
    return {code: float(size) for code, size in zip(words[::2], words[1::2], strict=True)}


CC100 = Pretraining(
    "CC-100",
    "Conneau et al. 2020, arXiv 1911.02116, Table 6; Burmese and Chinese are sums of two rows, Norwegian is Bokmål, romanised "
    "text is in Latin script. Unchecked: sizes of languages outside XTREME-R's fifty, not compared with the table again",
    _sizes(
        """
        af 1.3 am 0.8 ar 28.0 as 0.1 az 6.5 be 4.3 bg 57.5 bn 8.4 bn_Latn 0.5 br 0.1 bs 0.1 ca 10.1 cs 16.3
        cy 0.8 da 45.6 de 66.6 el 46.9 en 300.8 eo 0.9 es 53.3 et 6.1 eu 2.0 fa 111.6 fi 54.3 fr 56.8 fy 0.2
        ga 0.5 gd 0.1 gl 2.9 gu 1.9 ha 0.3 he 31.6 hi 20.2 hi_Latn 0.5 hr 20.5 hu 58.4 hy 5.5 id 148.3 is
        3.2 it 30.2 ja 69.3 jv 0.2 ka 9.1 kk 6.4 km 1.5 kn 3.3 ko 54.2 ku 0.4 ky 1.2 la 2.5 lo 0.6 lt 13.7
        lv 8.8 mg 0.2 mk 4.8 ml 7.6 mn 3.0 mr 2.8 ms 8.5 my 2.0 ne 3.8 nl 29.3 no 49.0 nb 49.0 om 0.1 or 0.6
        pa 0.8 pl 44.6 ps 0.7 pt 49.1 ro 61.4 ru 278.0 sa 0.3 sd 0.4 si 3.6 sk 23.2 sl 10.3 so 0.4 sq 5.4 sr
        9.1 su 0.1 sv 12.1 sw 1.6 ta 12.2 ta_Latn 0.3 te 4.7 te_Latn 0.3 th 71.7 tl 3.1 tr 20.9 ug 0.4 uk
        84.6 ur 5.7 ur_Latn 0.5 uz 0.7 vi 137.3 xh 0.1 yi 0.3 zh 63.5 zh_Hant 63.5
        """
    ),
)
