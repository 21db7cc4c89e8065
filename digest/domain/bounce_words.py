"""The words of mail servers, by what they mean; written as `diagnosis.fold` leaves text: no case, no accents.

Each family is a handful of word groups put together, so that a server's next way to say the same is met too. Every
gap in a pattern is bounded: no text makes one slow.
"""

from __future__ import annotations

import re
import unicodedata

_SIGNS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "’": "'", "‘": "'", "`": "'", "“": '"', "”": '"'})


def any_of(*patterns: str) -> re.Pattern[str]:
    """One pattern for all, which may be written with its accents."""
    return re.compile(without_accents("|".join(patterns)))


def without_accents(text: str) -> str:
    """Text as the patterns are matched with: no accents (also Cyrillic й and Japanese で), plain apostrophes."""
    bare = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    return "".join(each for each in bare if not unicodedata.combining(each))


_WHO = (
    r"(?:users?|user ?(?:name|id)|mail ?box(?:es)?|recipients?|accounts?|address(?:es|ee)?|person|alias|login|inbox"
    r"|employee|e-?mail ?(?:account|address|box|name)?|members?|subscriber|customer|local.?part|rcpt"
    r"|utilisateur|destinat\w+)"
)
_HOST = r"(?:host|domain|domain ?name|host ?name|server name|mail ?domain|destination system|mail exchanger)"
_MISSING = (
    r"(?:unknown|not (?:be )?found|n[o']?t exist\w*|do(?:es)?(?: not|n't|nt) exists?|never existed|non-?exist\w*"
    r"|not (?:currently |presently )?(?:known|listed|present|defined|recogni[sz]ed|registered|local|deliverable)"
    r"|is (?:not valid|invalid|unavailable for delivery)|(?:is |are )?not (?:a )?valid|isn't (?:known|valid|listed)"
    r"|un(?:listed|recogni[sz]ed|deliverable|routeable|routable)|doesn't have an?|invalid"
    r"|could not be (?:found|resolved)"
    r"|no longer (?:exists?|valid|available|active|in use|in service|used|on|here|with|at|accept\w*|works?|maintained)"
    r"|(?:cannot|can't|couldn't|wasn't) (?:be )?(?:found|resolved|located|identified)|no such"
    r"|not in (?:the )?\w+ ?list)"
)
_CLOSED = (
    r"(?:disabled|de-?activated|discontinued|terminated|closed|cancell?ed|deleted|removed|inactive|not active"
    r"|abandoned|dormant|archived|retired|moved|unused|expired|no more)"
)

# The reader's mailbox is full.
FULL = any_of(
    r"over ?-?quota|quota (?:is )?(?:exceed|violat|usage|limit|full|reach)|exceed\w* (?:\S+ ){0,4}quota|disk quota",
    r"(?:exceed\w*|over|above|reached|past) (?:\S+ ){0,6}(?:quota|storage|allocat\w+|mailbox size|disk space"
    r"|disk limit)",
    r"(?:mail ?box|mail ?folder|maildir|inbox|account|mail file|user|recipient|disk|storage|spool)"
    r" (?:\S+ ){0,5}?(?:too |currently |already )?full\b",
    r"\bfull (?:mail ?box|inbox)|mailbox size limit|mail ?box limit|mailbox would exceed|too much mail data",
    r"(?:insufficient|not enough|out of|no|lacks?|does not have enough) (?:disk |system |mailbox |free )?(?:storage"
    r"|space)\b",
    r"space (?:\S+ ){0,3}(?:used up|exhausted|exceeded)|no space left|too many messages (?:on|in|stored)|mailboxfull",
    r"overquota|storage limit|account has reached|exceeded (?:\S+ ){0,3}local limit|retrieve (?:\S+ ){0,3}mail first",
    r"skrzynka (?:\S+ ){0,4}(?:pelna|przepelniona|zapelniona)|przepelnion",
    r"przekroczon\w+ (?:\S+ ){0,3}(?:limit|pojemno|quot)",
    r"brak (?:wolnego )?miejsca|ящик (?:\S+ ){0,3}(?:переполнен|полон|заполнен)|переполнен",
    r"превыш\S+ (?:\S+ ){0,3}(?:квот|объ)",
    r"скриньк\S+ (?:\S+ ){0,3}(?:переповнен|заповнен|повна)|переповнен|перевищ\S+ (?:\S+ ){0,3}(?:квот|обсяг)|квот",
    r"(?:postfach|mailbox|posteingang) (?:\S+ ){0,4}voll|uberfullt|speicherplatz|kontingent",
    r"(?:boite|messagerie) (?:\S+ ){0,5}(?:pleine|saturee)|quota depasse|(?:casella|mailbox) (?:\S+ ){0,4}piena",
    r"quota superat",
    r"(?:buzon|bandeja|casilla|caixa|mailbox) (?:\S+ ){0,5}(?:llen[oa]|cheia|lotada)|cuota (?:\S+ ){0,3}(?:excedida"
    r"|superad)",
    r"postvak (?:\S+ ){0,3}vol\b|schranka (?:\S+ ){0,3}plna|容量.{0,20}(?:超|オーバー|不足)",
    r"いっぱい|一杯|満杯|已满|已滿|空间不足|爆满|용량",
)

# Limits on what we may send: they sound like a full mailbox and are not one.
OUR_LIMIT = any_of(
    r"(?:sending|outgoing|hourly|daily|relay|connection|message|rate|sender|smtp) (?:\S+ ){0,2}(?:quota|rate"
    r"|limits?) (?:\S+ ){0,4}"
    r"(?:exceed|reach|over)",
    r"too many (?:\S+ ){0,2}(?:connections|messages|mails?|emails|recipients|sessions|senders|errors|requests"
    r"|invalid)(?! (?:on|in) (?:the|your))",
    r"exceed\w* (?:\S+ ){0,6}(?:connections|messages (?:per|sent)|recipients|sending|emails? per|rate|frequency)",
    r"rate.?limit|throttl|too (?:fast|quickly|frequent)|receiving mail at a rate|unusual rate|slow down",
    r"unexpected volume",
)

# About us: our address, our server, our text.
ABOUT_US = any_of(
    r"spam(?!med)|unsolicited|junk ?e?-?mail|\bube\b|\buce\b|bulk ?(?:e-?mail|mail|sender)|mass mail|block.?list",
    r"black.?list|deny.?list",
    r"blackhole|\brbl|dns ?bl|\bdrbl|reputation|\bspf\b|sender policy framework|sender.?id\b|\bdkim\b|\bdmarc\b",
    r"\bbatv\b",
    r"\bptr\b|reverse.?dns|\brdns\b|reverse (?:lookup|hostname|address)|virus|malware|phish|trojan|infected|harmful",
    r"blocked (?:using|by (?!.{0,20}recipient)|because|due|for\b|at\b)",
    r"relay(?:ing|s)?\b(?: \S+){0,4} (?:denied|not|prohibit|refus|forbid|disallow)",
    r"(?:unable|cannot|can't|not \w+|don't|refuse\w*|won't|no) (?:to )?(?:third.party )?relay",
    r"not (?:an? )?(?:open )?relay|relay access",
    r"allowed rcpthosts|gateway user",
    r"(?<!to )(?<!to the )(?<!by )sender(?:'s)? (?:\S+ ){0,5}(?:reject|denied|verif|invalid|does|unknown|refus|block"
    r"|not )",
    r"invalid sender|emetteur|bad sender|sender address|return address|responsible address|\(bl\)|\bip ?= ?\d",
    # a server that refuses at MAIL FROM has not heard yet whom the mail is for
    r"(?:after|(?:reply|response) to|error (?:from|during|in)) (?:\w+ )?mail.from\b",
    r"\bfrom:? (?:\S+ ){0,2}(?:domain|header|field|address) (?:\S+ ){0,3}(?:invalid|not |missing|required|does)",
    r"(?:invalid|bad|valid|missing|no|multiple) from\b:?|(?:recipient|user|e-?mail|receiver)(?:'?s)? preferences"
    r"|preferences of",
    r"(?:mail|envelope).from (?:\S+ ){0,4}(?:reject|denied|invalid|not )",
    r"bogus mail from|helo\b|ehlo\b|client host (?:rejected|name)",
    r"reject\w* (?:due to|for|by|because of) (?:\S+ ){0,3}(?:policy|content|secur|filter)",
    r"content (?:filter|reject|restrict|polic|violat|denied|not accept)|(?:message|mail) content|banned",
    r"prohibited (?:file|attach|content)",
    r"illegal attachment|unauthenticated|authentication (?:is )?(?:required|fail)|authenticated|complaint",
    r"abus(?:e|ive)\b|suspicio",
    r"dynamic (?:ip|pool|host)|poor (?:email|ip|sender)|rejecting (?:open|mail from)",
    r"message (?:was |has been )?(?:filtered|blocked)|untrusted",
    r"odrzucon\S* (?:\S+ ){0,4}(?:polity|tresc|filtr)|czarn\w+ list|спам|чорн\S+ спис|черн\S+ спис",
    r"迷惑メール|垃圾|黑名单",
    r"スパム|liste noire",
)
LISTS = any_of(
    r"spamhaus|spamcop|\bsorbs\b|cloudmark|mailspike|uceprotect|invaluement|senderscore|barracuda(?:central|networks)",
    r"\bofr.?506|csi\.",
)

# The mailbox, or its whole domain, does not exist.
GONE = any_of(
    rf"(?:no|not an?|isn't an?|not the) (?:such|valid|known|existing|active|local|current) (?:\S+ )?{_WHO}",
    rf"no (?:\S+ )?{_WHO} (?:here|by th|with th|found|of th|named|at th|exists|available|has|match)",
    rf"(?:unknown|invalid|non-?exist\w*|bad|wrong|incorrect|illegal|inexistent|unrecogni[sz]ed|nonexistant|undefined"
    rf"|inactive)"
    rf" (?:or \w+ |or non-?existent )?(?:local |destination |virtual |final (?:delivery )?|e-?mail |smtp |internal "
    rf"|pop3? |remote )*{_WHO}",
    rf"{_WHO}s?\b[^.;]{{0,70}}?{_MISSING}",
    rf"{_WHO}\b(?: [^\s.;]+){{0,5}}? {_CLOSED}\b|\b{_CLOSED} (?:user|mailbox|account|address|recipient|e-?mail)s?\b",
    r"(?:can't|cannot|couldn't|could not|unable to|did not|didn't) (?:find|locate|resolve) (?:\S+ ){0,3}?(?:user"
    r"|recipient|mailbox|account|address|person)",
    r"is not (?:a|an|the) (?:\S+ ){0,3}(?:mailbox|user|recipient|account|address|alias)|(?:is )?not listed in",
    r"not in (?:\S+ ){0,4}directory",
    r"mailbox unavailable or access denied|no one (?:at|by|here)|nobody (?:here|by)",
    r"there is no (?:one|user|such|account|mailbox)|badrcptto|badrecipientto|validrcptto|@ (?:is )?not found",
    r"does not have (?:an?|any) (?:\S+ )?(?:account|mailbox)|doesn't have an? (?:\S+ ){0,2}account",
    r"missing home directory|has (?:left|moved)\b|no longer (?:works|employed)",
    r"destination addresses were unknown|destination mailbox address|address error|unknown address",
    r"e-?mail address (?:\S+ ){0,3}(?:wrong|misspelled)",
    r"address you (?:entered|sent) (?:\S+ ){0,3}(?:couldn't|could not|not)|has been replaced by|change of address",
    r"not our customer|undeliverable address",
    rf"(?:no such|unknown|invalid|non-?existent|bad|illegal) (?:destination |e?mail |mail )?{_HOST}\b|nxdomain",
    r"null ?mx|no mx record|does not accept (?:e?-?mail|any mail)$",
    rf"{_HOST}(?: or domain name)?(?: [^\s;]+){{0,6}}? {_MISSING}|name or service not known",
    r"unrout(?:e?)able (?:mail )?(?:address|domain)|no route to domain",
    r"(?:couldn't|could not) find (?:any host|a mail exchanger)|find no host|point to non-?existent hosts",
    r"(?:domain|host) (?:must|may not) exist|domain is not reachable|bad destination (?:system|host)",
)
# The same in the codes and catchwords some systems use for it; looked for in the text with its addresses and hosts.
GONE_CODES = any_of(
    r"recip(?:ient)?notfound|recipient notfound|nosuchuser|5\.4\.310\b|unknownuser|userunknown|unknown_user",
    r"no_such_user|usernotfound|invalid-recipient",
    r"5\.(?:4\.1|1\.10?)[ :].{0,60}access denied|as\(2018\d+\)|i\.ua/err/2/|(?:ofr|lpn)\w*[-_]?4(?:16|18)",
    r"#5\.1\.1 bad address",
)

# And in the languages our readers' servers speak.
GONE_ABROAD = any_of(
    r"nie (?:istnieje|znaleziono|znaleziony)|nieznan\w+ (?:\S+ )?(?:uzytkownik|odbiorc|adres)",
    r"(?:nie ma|brak) takie\w+ (?:\S+ )?(?:uzytkown|kont|adres|skrzyn|odbior|osob)",
    r"(?:konto|skrzynka|adres)(?: \S+){0,4} (?:usuni\w+|nieaktywn\w+|nieznan\w+|wylaczon\w+|skasowan\w+"
    r"|nieprawidlow\w+)",
    r"uzytkownik nieznany",
    r"не существу|не найден|нет такого|неизвестн\S+ (?:пользоват|получат|адрес)|несуществующ",
    r"(?:ящик|аккаунт|адрес|пользовател\S+)(?: \S+){0,4} (?:отключен|удален|недействител|неизвест)",
    r"не існу|не знайден|нема[єе]? такого|невідом\S+ (?:користув|одержув|отримув|адрес)|неіснуюч",
    r"(?:скриньк\S+|запис|адрес\S+)(?: \S+){0,4} (?:вимкнен|видален|недійсн)",
    r"existiert nicht",
    r"(?:empfanger|benutzer|adresse|postfach|mailbox|konto)\w*(?: \S+){0,6} (?:unbekannt|nicht (?:gefunden|bekannt"
    r"|vorhanden|existent|mehr)|ungultig|deaktiviert|geloscht)",
    r"unbekannte\w? (?:empfanger|benutzer|adresse|mail)|n'existe p|n existe p|inexistant",
    r"(?:utilisateur|destinataire|adresse|boite|compte)(?: \S+){0,6} (?:inconnu|introuvable|invalide|desactive"
    r"|supprime)",
    r"non esiste|inesistente|sconosciut[oa]",
    r"(?:utente|destinatario|indirizzo|casella)(?: \S+){0,6} (?:non (?:trovat|valid|esist)|disabilitat|disattivat)",
    r"nessun utente",
    r"no existe|inexistente|desconocid[oa]",
    r"(?:usuario|destinatario|direccion|buzon|cuenta)(?: \S+){0,6} (?:no (?:encontrad|valid|se enc)|desactivad"
    r"|deshabilitad|eliminad)",
    r"no se (?:encontro|ha encontrado|pudo encontrar)",
    r"nao existe|nao encontrad|desconhecid|(?:usuario|conta|endereco)(?: \S+){0,6} (?:desativad|invalid)",
    r"bestaat niet|onbekend|niet gevonden|neexistuj|neznam\w+ (?:uzivatel|prijemce|adres)",
    r"finns inte|okand (?:anvandare|mottagare)|findes ikke|finnes ikke|bulunamadi|nem letezik|ismeretlen",
    r"リストにありません|存在しません|存在しない(?!か)|存在致しません|見つかりません|宛先不明|不明なユーザ|ユーザ.{0,6}(?:いません|不明)|アドレスが.{0,6}(?:間違|正しく|無効)|使われておりません",
    r"不存在(?!或)|找不到|未找到|无此用户|沒有此|没有该|无效的?(?:地址|收件)",
    r"無效|查无|已停用|존재하지|찾을 수 없|없는 (?:사용자|계정)",
)

# Said of a mailbox that is missing, these make it miss only for now.
FOR_NOW = any_of(
    r"gr[ae]y.?list|temporar|try (?:again )?later|try again in|deferred|unverified address|lookup (?:fail|error|time)",
    r"time.?out|try again$|host not found, try again",
)

# A refusal that does not say whom it means: safest taken as one of us.
REFUSED = any_of(
    r"access denied|denied by|権限|not (?:\w+ )?(?:authori[sz]ed|permitted|allowed)|unauthori[sz]ed|permission",
    r"forbidden|prohibit|\bblock(?:ed|s|ing)?\b",
    r"polic(?:y|ies)\b|restrict|secur(?:e|ity)|challenge|white.?list|starttls|certificate|\btls\b|filter",
    r"unacceptable|firewall|administrativ",
    r"members.only|not subscribed|closed mailing|attachments? (?:\S+ ){0,4}(?:not|block|type|remov|refus|reject)"
    r"|header (?:error|field)s?\b(?! follow)|headers? are not"
    r"|multiple \S+ headers?|refused (?:mail|by|your|the)",
    r"(?:only|not) accept\w* (?:\S+ ){0,3}from|confirm",
    r"reject(?:ed|ing|s)? (?:your|this|the) (?:mail|message|e-?mail)",
    r"message (?:was |has been )?(?:rejected|refused)|transaction (?:failed|rejected)",
    r"mail (?:was |is )?(?:rejected|refused)|not accepted",
)

# The server, the network or the message: another week may do better.
TROUBLE = any_of(
    r"time.?d?.?out|try (?:again|later)|temporar|gr[ae]y.?list|deferred",
    r"connection (?:\S+ ){0,3}(?:refused|reset|lost|closed|dropped|fail)|lost connection|no route|unreachable",
    r"\bloop|too many hops|hop count|too (?:big|large|long)|size (?:limit|exceed)|exceed\w* (?:\S+ ){0,5}size",
    r"message size|exceeds",
    r"(?:system|internal|server|local|dns|i/o|configuration|config|processing|software|ldap|database|mailer|protocol"
    r"|network)(?: \S+)? (?:error|problem|failure|fault|busy|failed)",
    r"service (?:\S+ )?unavailable|resources|retr(?:y|ied|ies)|in (?:the )?queue",
    r"(?:message|delivery|time|queue)(?: \S+){0,2} expired|not respond|no answer|no response|lookup fail|suspended",
    r"frozen|locked|busy",
    r"procmail|maildrop|pipe to|child process|exit status|error writing|can(?:'t|not) (?:open|create|write)",
    r"could not (?:connect|open)|misconfigur|name server",
)

# With a code that is for good, and nothing else said, this is how some providers say that nobody is there.
PERHAPS_GONE = any_of(
    r"mail ?box (?:is )?(?:unavail?able|not available)|unavailable mailbox",
    r"(?:account|user|recipient) (?:is )?(?:not available|unavailable)|mailbox unavaiable",
    r"(?:recipients?|destination)(?: address)?(?: was| is| were)? (?:rejected|refused|denied|not accepted|not ok)",
    r"address rejected|(?:rejected|refus\w+) recipients?|can't accept user|cannot accept",
    r"recipient refused|server rejected recipients|no valid recipients",
)
