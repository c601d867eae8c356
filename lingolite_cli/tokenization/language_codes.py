"""Codes of languages, by which a tag such as `<da>` is told from another symbol that a user defined, such as `<br>`.

Owns the list. Which pieces of a vocabulary are tags is decided by the tokenizers beside it.
"""

from __future__ import annotations

import re

_TWO_LETTERS = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es
et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu iw ja jv jw ka
kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng
nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su
sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
"""ISO 639-1, with the codes that it had before and those that translators still use. Breton (`br`) is left out: as a
symbol, `<br>` is a line break far more often, and a model of Breton says so in its languages."""

_THREE_LETTERS = """
ace afr als amh ara arz asm ast awa ayr azb azj bak bam ban bar bel ben bho bos bre bug bul cat ceb ces ckb cmn crh
cym dan deu dik dsb dyu dzo ell eng epo est eus ewe fao fas fij fil fin fon fra fry fur fuv gla gle glg grn gsw guj
hat hau heb hin hne hrv hsb hun hye ibo ilo ind isl ita jav jpn kab kac kam kan kas kat kaz kea khk khm kik kin kir
kmb kmr knc kon kor lao lat lav lij lim lin lit lmo ltg ltz lua lug luo lus lvs mag mai mal mar min mkd mlg mlt mni
mon mos mri msa mya nds nep nld nno nob nor npi nso nus nya oci ory pag pan pap pbt pes plt pol por prs pus quy ron
run rus sag san sat scn sco shn sin slk slv smo sna snd som sot spa sqi srd srp ssw sun swa swe swh szl tam taq tat
tel tgk tgl tha tir tpi tsn tso tuk tum tur twi tzm uig ukr umb urd uzb uzn vec vie war wol xho ydd yid yor yue zho
zsm zul
"""
"""ISO 639-3 of the languages that translation models are made for."""

_CODES = frozenset(_TWO_LETTERS.split()) | frozenset(_THREE_LETTERS.split())
_SUBTAGS = re.compile(r"(?:[-_][A-Za-z0-9]{2,8})*")


def is_language_code(text: str) -> bool:
    """Whether `text` is the code of a language, perhaps with script and region: `en`, `pt_BR`, `eng_Latn`."""
    code = re.split("[-_]", text, maxsplit=1)[0]
    return code in _CODES and _SUBTAGS.fullmatch(text[len(code) :]) is not None
