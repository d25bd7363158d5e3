"""The languages of documents: how each asks its reader to do something."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT = "en"


@dataclass(frozen=True)
class Language:
    """How a language asks."""

    verbs: frozenset[str]
    """Forms with which a sentence begins that asks for something."""
    opening: re.Pattern[str]
    """What may stand before such a verb."""
    asked: re.Pattern[str]
    """What asks wherever it stands."""


def _opening(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?:\W|\b(?:{words})\b)*", re.IGNORECASE)


def _asked(forms: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{forms})\b", re.IGNORECASE)


def _spanish(verb: str) -> Iterator[str]:
    """Yield the forms of tú, usted, ustedes, nosotros, and the infinitive: ejecuta, ejecute."""
    stem, ending = verb[:-2], verb[-2:]
    yield verb
    yield from _with(stem, "a e en emos" if ending == "ar" else "e a an amos")
    for old, new in (("g", "gu"), ("c", "qu"), ("z", "c")):
        if ending == "ar" and stem.endswith(old):  # descargue, busque, utilice
            yield from _with(stem.removesuffix(old) + new, "e en emos")


def _portuguese(verb: str) -> Iterator[str]:
    yield from _spanish(verb)


def _italian(verb: str) -> Iterator[str]:
    stem, ending = verb[:-3], verb[-3:]
    yield verb
    yield from _with(stem, "a i ate iamo ino" if ending == "are" else "i a ete ite iamo ano")
    if stem.endswith(("i",)):  # avvia, avvii
        yield from _with(stem[:-1], "ia i iate iamo")
    if ending == "are" and stem.endswith(("c", "g")):
        yield from _with(stem, "hi hiamo")
    if ending == "ire":
        yield from _with(stem, "isci isca")


def _french(verb: str) -> Iterator[str]:
    yield verb
    if verb.endswith("er"):
        yield from _with(verb[:-2], "e ez ons")
    elif verb.endswith("ir"):
        yield from _with(verb[:-2], "is issez issons ez ons e")
    else:
        yield from _with(verb[:-2], "s ez ons vez vons t")


def _german(verb: str) -> Iterator[str]:
    stem = verb.removesuffix("en") if verb.endswith("en") else verb.removesuffix("n")
    yield verb
    yield from _with(stem, "e t et en")
    yield stem


def _with(stem: str, endings: str) -> Iterator[str]:
    yield from (stem + ending for ending in endings.split())


_IRREGULAR = {
    "es": "haz haga hagan hagamos pon ponga pongan ve vaya vayan vamos ten tenga sal salga di diga "
    "ejecutemos comprueba compruebe cierra cierre prueba pruebe muestra muestre "
    "encuentra encuentre despliega despliegue empieza empiece comienza comience vuelve vuelva "
    "recuerda recuerde elige elija sigue siga repite repita corrige corrija obtén obtenga "
    "detén detenga introduzca construye construya sustituye sustituya asegúrate asegúrese "
    "conéctate conéctese fíjate fíjese dirígete diríjase",
    "pt": "faça façam façamos vá vamos ponha ponham veja vejam leia leiam saia tenha obtenha "
    "escreva substitua siga repita instale certifique-se conecte-se lembre-se escolha "
    "construa descubra abra clique verifique faz",
    "it": "fai fate faccia vai andate vada dai date tieni tenete togli togliete scegli scegliete "
    "assicurati assicuratevi collegati collegatevi ricordati ricordate esci uscite apri aprite "
    "rimuovi rimuovete scrivi scrivete leggi leggete",
    "fr": "faites fais faire faisons allez va allons mettez mets voyez vois lisez lis écrivez "
    "écris "
    "ouvrez ouvre attendez attends prenez prends suivez suis construisez construis revenez "
    "reviens obtenez obtiens assurez-vous assure-toi connectez-vous rendez-vous notez "
    "appelez rappelez",
    "de": "gib nimm lies sieh lass halt führ führe bau",
}
_FORMS: dict[str, Callable[[str], Iterator[str]]] = {
    "es": _spanish,
    "pt": _portuguese,
    "it": _italian,
    "fr": _french,
    "de": _german,
}
_OPENINGS = {
    "en": r"and|or|but|so|then|now|next|first|second|third|lastly|last|finally|please|again|"
    r"also|afterwards|afterward|here|there|once more|simply|just|always|again|instead|"
    r"optionally|in turn|quickly|carefully|hint|note|tip|warning|important",
    "es": r"y|e|o|pero|así que|luego|después|ahora|primero|segundo|tercero|por último|finalmente|"
    r"por favor|también|a continuación|aquí|entonces|nota|consejo|aviso|importante|de nuevo|"
    r"no|ya|solo|siempre",
    "pt": r"e|ou|mas|então|depois|agora|primeiro|segundo|terceiro|por último|finalmente|"
    r"por favor|também|em seguida|a seguir|aqui|nota|dica|aviso|importante|novamente|não|já",
    "it": r"e|o|ma|quindi|poi|dopo|ora|adesso|prima|infine|per favore|anche|qui|allora|nota|"
    r"suggerimento|attenzione|importante|di nuovo|non|successivamente",
    "fr": r"et|ou|mais|donc|puis|ensuite|maintenant|d'abord|enfin|s'il vous plaît|aussi|ici|"
    r"alors|note|astuce|attention|important|de nouveau|à nouveau|ne|n'|veuillez",
    "de": r"und|oder|aber|dann|danach|jetzt|nun|zuerst|zunächst|zuletzt|schließlich|bitte|auch|"
    r"hier|anschließend|hinweis|tipp|achtung|wichtig|erneut|noch einmal",
}
_ASKED = {
    "en": r"(?:you|we)(?:'ll|\s+will|\s+also|\s+now|\s+then)*\s+(?:must|should|have\s+to|need\s+to|"
    r"needs?\s+to|ought\s+to|want\s+to|can\s+now|may\s+(?:now|also)|are\s+(?:asked|required|to))|"
    r"(?:must|should|needs?\s+to|has\s+to|have\s+to)\s+be\s+\w+|"
    r"do\s+not|don't|never|make\s+sure|be\s+sure|remember\s+to|let's|let\s+us|"
    r"it\s+is\s+(?:time|necessary)\s+to|the\s+next\s+step\s+is|off\s+to\s+\w+",
    "es": r"debe(?:s|n|mos|rá|rás)?|tiene[sn]?\s+que|hay\s+que|es\s+(?:necesario|preciso)|"
    r"aseg[uú]r(?:e|a)(?:te|se)|no\s+olvides?|recuerd[ae]|vamos\s+a|necesita(?:s|mos)?|"
    r"se\s+debe|conviene|es\s+hora\s+de",
    "pt": r"deve(?:m|mos|rá)?|tem\s+(?:de|que)|é\s+(?:necessário|preciso)|certifique-se|"
    r"não\s+(?:se\s+)?esqueça|lembre-se|vamos|precisa(?:mos)?|temos\s+(?:de|que)",
    "it": r"dev[ei]|dovete|dobbiamo|bisogna|è\s+necessario|assicurat[ie](?:vi)?|"
    r"non\s+dimentica(?:re|te)|ricorda(?:ti|te|tevi)?|occorre|è\s+ora\s+di",
    "fr": r"vous\s+devez|tu\s+dois|nous\s+devons|il\s+faut|doit\s+être|doivent\s+être|"
    r"il\s+est\s+(?:nécessaire|temps)|assurez-vous|n'oubliez\s+pas|rappelez-vous|veuillez|"
    r"nous\s+allons|vous\s+pouvez\s+maintenant",
    "de": r"müssen|musst|muss|sollten?|sollst|bitte|stellen\s+Sie\s+sicher|vergiss\s+nicht|"
    r"vergessen\s+Sie\s+nicht|denken\s+Sie\s+daran|es\s+ist\s+nötig|können\s+Sie\s+(?:jetzt|nun)|"
    r"achten\s+Sie",
}
KNOWN = tuple(_ASKED)
"""Those whose instructions are found."""


@cache
def language(code: str) -> Language | None:
    """Return a language by its code; None for one whose instructions cannot be found."""
    if code not in KNOWN:
        return None
    file = resources.files("labwright.lab").joinpath(f"imperatives.{code}.txt")
    listed = file.read_text(encoding="utf-8").split()
    forms = _FORMS.get(code)
    verbs = {form for verb in listed for form in forms(verb)} if forms else set(listed)
    verbs |= set(_IRREGULAR.get(code, "").split())
    return Language(frozenset(verbs), _opening(_OPENINGS[code]), _asked(_ASKED[code]))
