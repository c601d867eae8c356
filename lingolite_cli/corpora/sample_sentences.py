"""A few harmless sentences in many languages, to see whether a model translates at all.

Owns the sentences. They say nothing of a model's quality; test sets are `lingolite_cli.corpora.corpus`'s.
"""

from __future__ import annotations

import re

_SENTENCES = {
    "ar": ("الطقس جميل اليوم.", "أين المحطة؟"),
    "bg": ("Времето днес е хубаво.", "Къде е гарата?"),
    "ca": ("Avui fa bon temps.", "On és l'estació?"),
    "cs": ("Dnes je hezké počasí.", "Kde je nádraží?"),
    "da": ("Vejret er dejligt i dag.", "Hvor er stationen?"),
    "de": ("Das Wetter ist heute schön.", "Wo ist der Bahnhof?"),
    "el": ("Ο καιρός είναι ωραίος σήμερα.", "Πού είναι ο σταθμός;"),
    "en": ("The weather is nice today.", "Where is the station?"),
    "es": ("Hoy hace buen tiempo.", "¿Dónde está la estación?"),
    "et": ("Täna on ilus ilm.", "Kus on jaam?"),
    "fi": ("Tänään on kaunis sää.", "Missä asema on?"),
    "fr": ("Il fait beau aujourd'hui.", "Où est la gare ?"),
    "hi": ("आज मौसम अच्छा है।", "स्टेशन कहाँ है?"),
    "hr": ("Danas je lijepo vrijeme.", "Gdje je kolodvor?"),
    "hu": ("Ma szép idő van.", "Hol van az állomás?"),
    "id": ("Cuacanya bagus hari ini.", "Di mana stasiunnya?"),
    "is": ("Veðrið er gott í dag.", "Hvar er stöðin?"),
    "it": ("Oggi fa bel tempo.", "Dov'è la stazione?"),
    "ja": ("今日はいい天気です。", "駅はどこですか。"),
    "ko": ("오늘은 날씨가 좋습니다.", "역은 어디에 있습니까?"),
    "lt": ("Šiandien gražus oras.", "Kur yra stotis?"),
    "lv": ("Šodien ir labs laiks.", "Kur ir stacija?"),
    "nb": ("Været er fint i dag.", "Hvor er stasjonen?"),
    "nl": ("Het weer is mooi vandaag.", "Waar is het station?"),
    "no": ("Været er fint i dag.", "Hvor er stasjonen?"),
    "pl": ("Dziś jest ładna pogoda.", "Gdzie jest dworzec?"),
    "pt": ("O tempo está bom hoje.", "Onde fica a estação?"),
    "ro": ("Vremea este frumoasă astăzi.", "Unde este gara?"),
    "ru": ("Сегодня хорошая погода.", "Где находится вокзал?"),
    "sk": ("Dnes je pekné počasie.", "Kde je stanica?"),
    "sl": ("Danes je lepo vreme.", "Kje je postaja?"),
    "sr": ("Danas je lepo vreme.", "Gde je stanica?"),
    "sv": ("Vädret är fint i dag.", "Var ligger stationen?"),
    "tr": ("Bugün hava güzel.", "İstasyon nerede?"),
    "uk": ("Сьогодні гарна погода.", "Де вокзал?"),
    "vi": ("Hôm nay thời tiết đẹp.", "Nhà ga ở đâu?"),
    "zh": ("今天天气很好。", "车站在哪里？"),
}


def sample_sentences(language: str) -> tuple[str, ...]:
    """The sentences in a language, whatever script and region its code names; none for a language without."""
    return _SENTENCES.get(re.split("[-_]", language, maxsplit=1)[0], ())
