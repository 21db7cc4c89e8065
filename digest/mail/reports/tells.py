"""How reports, and what only looks like them, give themselves away: senders, subjects and first sentences.

In small letters, for text as `diagnosis.fold` leaves it.
"""

from __future__ import annotations

import re

from digest.domain.bounce_words import any_of

# A mail server, not a person.
DAEMON = any_of(
    r"mailer.?daemon|post.?master|mail.?(?:delivery|system|administrat|daemon|deliver|server|gateway|router|transport)",
    r"\bndr@|mdaemon|delivery (?:sub)?system|system administrator|microsoft exchange|bounce|daemon@|mailadmin"
    r"|mailmaster|<>",
    r"nondeliver|internet mail|mail agent|smtp gateway|abuse@|virus|mailsweeper|emanager|root@",
)

# What a bounce is called.
SUBJECT = any_of(
    r"undeliver|non.?deliver|un(?:able|successful) (?:to )?deliver|delivery (?:\w+ ){0,2}(?:fail|error|problem|report)",
    r"deliver\w* (?:\w+ ){0,2}(?:fail|error|notif|status|notice)|fail\w* (?:\w+ ){0,3}(?:deliver|mail|notice|message)",
    r"(?:mail|message|e-?mail) (?:\w+ ){0,3}(?:fail|error|not (?:be )?deliver|return|reject|refus|bounce)|\bndr\b"
    r"|\bdsn\b",
    r"returned (?:mail|message|e-?mail|to sender)|return to sender|not (?:be )?delivered|couldn't deliver"
    r"|could not deliver",
    r"bounce|user unknown|unknown user|mail system error|error (?:sending|in delivery)|rejected|permanent fail",
    r"problem delivering|mailbox (?:is )?full|address (?:not|unknown|change)|invalid (?:address|recipient)",
    r"unzustellbar|nicht zugestellt|zustellung|fehlgeschlagen|non remis|non délivr|échec|impossible de remettre",
    r"retour de courrier|notification d'état|mancat[oa] (?:recapito|consegna)|recapito|non consegnat|impossibile",
    r"no (?:se )?(?:entreg|ha podido|pudo)|sin entregar|devuelto|fallo|error de entrega|falha|não entregue|devolvid",
    r"niedoręcz|niedostarcz|nie (?:został|można|dostarcz|doręcz|udał)|zwrot|błąd (?:doręcz|dostarcz|wysył)",
    r"не ?доставлен|недоставк|невозможн|ошибка|не удалось|возврат|неможлив|помилка|не вдалося|повернен|недоставлен",
    r"onbestelbaar|niet (?:worden )?(?:bezorgd|afgeleverd)|kunde inte levereras|ikke leveres|doručit|nelze|nedoruč",
    r"teslim edilemedi|kézbesít|配信|配送|送信(?:エラー|でき)|届け|返送|エラー|退信|无法|無法|未能",
    r"投递|递送|系统退|반송|배달",
)

# How a bounce begins.
LEAD = any_of(
    r"(?:could|can|did|was|were|has|have|will|is|be)(?: ?not|n't)(?: \w+){0,3} (?:deliver|sent|reach|process|relay)",
    r"cannot (?:be )?deliver|undeliver|un(?:able|successful) (?:\w+ ){0,3}(?:deliver|send|reach|relay)|fatal error",
    r"deliver\w* (?:\S+ ){0,6}(?:fail|unsuccessful|error|problem)|fail\w* (?:\S+ ){0,4}(?:deliver|recipient|address)",
    r"permanent(?:ly)? (?:fatal |delivery )?(?:fail|error)|returned (?:to|mail|message|unopened)|is being returned",
    r"not (?:\w+ ){0,2}(?:deliver|reach|received|accept)|recipients? (?:\S+ ){0,6}(?:reject|unknown|fail|not)",
    r"wasn't able to deliver|rejected (?:by|your|for)|unknown user|user unknown|no such user|not a valid"
    r"|does not exist",
    r"mailbox (?:is )?(?:full|unavail|not)|error occurred|<<< [45]\d\d|said: [45]\d\d|[45]\d\d [45]\.\d\.\d",
    r"nicht zugestellt|unzustellbar|konnten? (?:\S+ ){0,6}nicht|n'a (?:pas )?pu|pas (?:pu )?(?:\w+ ){0,2}(?:remis"
    r"|délivr)",
    r"non (?:è stato|ha|può|consegnat|recapitat)|no (?:se|ha|fue|pudo|puede) (?:\w+ )?(?:entreg|podido|envi)"
    r"|não (?:foi|pôde)",
    r"nie (?:został|zostala|można|udało|mogła|mógł|istnieje|dostarcz|doręcz)|не (?:доставлен|может|удалось|было|смог"
    r"|вдалося)",
    r"не (?:може|існує|существует)|невозможно|неможливо|kon niet|kunde inte|kunne ikke|nelze|nebyl|edilemedi",
    r"できません|できなかった|ませんでした|エラー|無法|无法|未能|不存在|失败|못했|실패",
)

# A warning: the server goes on trying. The second kind only while nothing says that it has given up.
SURELY_LATE = any_of(
    r"warning message only|(?:do not|don't|no) (?:need to )?(?:resend|re-send)|no action is required"
    r"|attempts will continue",
)
PERHAPS_LATE = any_of(
    r"(?:will|continue to|keep|still)(?: \w+){0,5} (?:try|retr|attempt)\w*|has been delayed|delayed (?:\d|for|mail)",
    r"not (?:yet )?been delivered (?:yet|for|after)|delivery (?:is |was |has been )?delayed|not (?:be )?delivered yet",
    r"delay(?:ed)? (?:notif|status|in deliv)|warning: (?:could not|message|mail)|verzögert|retardé|opóźni|задерж"
    r"|затрим",
)
GIVEN_UP = any_of(
    r"permanent|giving up|given up|gave up|undeliverable|returned|too long|expired|failed|retry timeout|fatal",
)

# Where a text goes over to the message it returns.
COPY = any_of(
    r"^[-=_*\s>]*(?:(?:this is a |below this line is a |a )?copy of (?:the|your)|the header of the original"
    r"|message body"
    r"|original (?:message|mail|e-?mail|text)|(?:included is|following is|this is) (?:a|the) (?:copy|message|header)"
    r"|(?:unsent|returned|your|undelivered|failed) message(?: (?:header|follows|below|is|text|begins)|\s*[-:=_]|\s*$)"
    r"|message (?:header|text)|(?:the )?(?:message )?headers? (?:follow|of|from)|start of (?:the )?(?:returned"
    r"|original)"
    r"|first \d+ (?:lines|bytes|characters)|the (?:first|text|body) of|el mensaje original|oryginaln|оригинал|исходн"
    r"|ursprüngliche nachricht|message original|messaggio originale|bounced e-?mail)",
)
COPY_FIELD = re.compile(
    r"^(?:[> \t]*(?:received|return-path|dkim-signature|mime-version|x-[\w-]{3,40}|content-type)|message-id)\s*:", re.I
)
QUOTED = re.compile(r"^\s*(?:>|(?:subject|re|from|sent|date|to)\s*:)", re.I)

# Lines with a server's code in them; and one that Sendmail closes with whatever went before.
CODED = re.compile(r"(?<![\d.:/-])(?:[45][0-5]\d(?=[\s:.;,#\])-])|[45]\.\d{1,2}\.\d{1,3}(?![\d.]*\d))")
EMPTY_WORDS = re.compile(r"^\s*5\d\d\b.{0,300}service unavailable\.?\s*$", re.I)

# A person's answer, or something passed on.
ANSWER = any_of(
    r"^\s*(?:re|aw|sv|antw|odp|vs|fwd?|wg|tr|rv|enc|vb|doorst|пересл|відп|ответ|回复|转发|答复)\s*(?:\[\d+\])?\s*[:：]",
)

# Nobody there, or a machine that answers.
AWAY = any_of(
    r"out.of.(?:the.)?office|\booo\b|auto(?:matic|mated)?[ -]?(?:reply|response|respon[ds]er|answer)|^auto ?:"
    r"|autoreply",
    r"vacation|holiday|on leave|away from|i am away|i'm away|\bi will be (?:out|away)|annual leave|maternity"
    r"|sick leave",
    r"thank you for (?:your|contacting)|we (?:have )?received your|ticket (?:#|number|received|created)",
    r"abwesen|urlaub|automatische antwort|nicht im (?:büro|haus)|réponse automatique|absence|absent",
    r"respuesta automática|fuera de (?:la )?oficina|ausen[ct]|risposta automatica|fuori (?:sede|ufficio)|assenza",
    r"resposta automática|afwezig|automatisch antwoord|autosvar|frånvaro|fravær|poissa|automaattinen",
    r"autoodpowied|odpowiedź automatyczna|automatyczna odpowiedź|poza biurem|nieobecno|urlop",
    r"автоответ|автоматический ответ|вне офиса|отпуск|автовідпов|автоматична відповідь|відпустк|поза офісом",
    r"otomatik yanıt|automatická odpov|mimo kancel|automatikus válasz|自動応答|自動返信",
    r"自动回复|自动答复|不在|休暇|부재중",
    r"^(?:read|not read|gelesen|ungelesen|lu|letto|leído|przeczytan\w+|прочитан\w*|прочтено|開封済み|已读)\s*:",
    r"read receipt|return receipt|disposition notification|(?:verif|confirm|valid)\w* (?:your|of your) (?:e-?mail"
    r"|message)",
)

# Somebody's gatekeeper wants a click of the sender.
CHALLENGE = any_of(
    r"\bboxbe|spamarrest|bluebottle|waitlisted|guest list",
    r"click (?:on )?(?:the|this) (?:\w+ )?link (?:below )?to (?:be|have|verify|confirm|deliver)"
    r"|prove (?:that )?you are",
    r"confirm (?:that )?you (?:are|sent)|reply to this (?:mail|message|e-?mail) to (?:confirm|deliver|release)",
)
