"""What the specimens say: a week's articles in each language, and titles nobody should ever write."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """A small paper in one language. `stories` are (section, title, summary)."""

    site: str
    newsletter: str
    author: str
    alt: str
    stories: tuple[tuple[str, str, str], ...]


WORDS = {
    "en": Words(
        "The Vistula Post",
        "The Weekly Recap",
        "Anna Nowak",
        "A river between two rows of old houses, seen from a bridge",
        (
            (
                "Cities",
                "The night tram that brought a district back to life",
                "For eleven years nothing ran after ten. Then one driver asked why, and would not stop asking.",
            ),
            (
                "Politics",
                "What the budget really changes for families, in six charts",
                "The headline figure hides who gains and who does not. We went through all 412 pages.",
            ),
            (
                "Science",
                "A bog older than Rome is drying out, and a village wants to save it",
                "Volunteers carry water uphill twice a week. Whether it helps, nobody can say yet.",
            ),
            ("Culture", "The last cinema with a piano", "Mrs Zielińska has played for silent films since 1974."),
            ("Sport", "“We lost, and I slept well”: a goalkeeper on her best season", "An interview."),
        ),
    ),
    "pl": Words(
        "Głos znad Wisły",
        "Tydzień w skrócie",
        "Łucja Żółkiewska",
        "Rzeka między dwoma rzędami starych kamienic, widziana z mostu",
        (
            (
                "Miasto",
                "Nocny tramwaj, który przywrócił dzielnicę do życia",
                "Przez jedenaście lat po dziesiątej nie jeździło tu nic. Aż jeden motorniczy zapytał dlaczego.",
            ),
            (
                "Polityka",
                "Co budżet naprawdę zmienia w życiu rodzin – w sześciu wykresach",
                "Za główną liczbą nie widać, kto zyska, a kto nie. Przeczytaliśmy wszystkie 412 stron.",
            ),
            (
                "Nauka",
                "Torfowisko starsze niż Rzym wysycha, a wieś chce je ocalić",
                "Ochotnicy dwa razy w tygodniu noszą wodę pod górę. Czy to pomaga, nikt jeszcze nie wie.",
            ),
            ("Kultura", "Ostatnie kino z pianinem", "Pani Zielińska gra do niemych filmów od 1974 roku."),
            ("Sport", "„Przegrałyśmy, a ja spałam spokojnie”. Bramkarka o swoim najlepszym sezonie", "Wywiad."),
        ),
    ),
    "uk": Words(
        "Голос над Віслою",
        "Тиждень коротко",
        "Оксана Їжакевич",
        "Річка між двома рядами старих будинків, вид з мосту",
        (
            (
                "Місто",
                "Нічний трамвай, який повернув район до життя",
                "Одинадцять років після десятої тут не їздило нічого. Доки один водій не запитав чому.",
            ),
            (
                "Політика",
                "Що насправді змінює бюджет для родин – у шести графіках",
                "За головною цифрою не видно, хто виграє, а хто ні. Ми прочитали всі 412 сторінок.",
            ),
            (
                "Наука",
                "Болото, старше за Рим, висихає, і село хоче його врятувати",
                "Добровольці двічі на тиждень носять воду нагору. Чи це допомагає, ще ніхто не знає.",
            ),
            ("Культура", "Останнє кіно з піаніно", "Пані Зелінська грає до німих фільмів з 1974 року."),
            ("Спорт", "«Ми програли, а я спала спокійно»: воротарка про свій найкращий сезон", "Інтерв’ю."),
        ),
    ),
}

# EMAIL.md section 0 in titles. Each leads an edition of its own, and is its summary, section, author and alt text too.
HOSTILE = {
    "markup": '</title></style><script>alert(1)</script><img src=x onerror=alert()> & "quotes" {{ 7 * 7 }} <!--',
    "crlf": "A headline\r\nBcc: x@y.z\r\n\r\nand a body\x0b\x85\u2028\u2029 of its own",
    "encoded": "=?utf-8?q?evil=0d=0aBcc=3a_x=40y=2ez?= and =?utf-8?b?PGI+?=",
    "rtl": "عاجل: النهر يرتفع في المدينة القديمة",
    "bidi": "Pay \u202egnihton\u202c, \u2066isolated\u2067 and \u200fturned \u200earound\u061c",
    "emoji": "👨‍👩‍👧‍👦 family, ❤️‍🔥 heart, 🏴󠁧󠁢󠁳󠁣󠁴󠁿 flag, 👍🏽 thumb",
    "surrogate": "Half a pair \ud83d, the other half \ude00, and nothing lost",
    "long": "Thisisonewordofthreehundredletters" * 8 + "and" * 9 + "x",
}
assert len(HOSTILE["long"]) == 300
