"""What servers say: words go before codes, and of words those that acquit the reader."""

from __future__ import annotations

import pytest

from digest.domain.diagnosis import MAX_CHARACTERS, best_status, diagnose, fold
from digest.domain.reports import ReportKind

GONE = [
    "550 User unknown",
    "550 no such user here",
    "550 5.1.1 <anna@example.net>... User unknown",
    "550 anna@example.net...User unknown",
    "550 5.7.1 No such user!",
    "550 Unknown local-part",
    "550 <anna@example.net> is not a known user",
    "550 mailbox not found",
    "550 Mailbox does not exist",
    "550 Recipient rejected: it does not exist",
    "550 Requested action not taken: mailbox unavailable",
    "550 mailbox unavailable or access denied",
    "550 BAD_RECIPIENT",
    "550 #5.1.0 Address rejected.",
    "550 5.4.1 Recipient address rejected: Access denied",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
    "550 5.2.1 This mailbox is disabled",
    "554 This account has been deactivated",
    "550 account closed",
    "550 This address no longer accepts mail",
    "551 not our customer",
    "553 sorry, badrcptto (#5.7.1)",
    "554 Host or domain name not found. Name service error for name=example.invalid type=A: Host not found",
    "550 5.4.310 DNS domain example.invalid does not exist",
    "550 5.1.10 null MX",
    "Unrouteable address",
    "450 4.1.1 User unknown in local recipient table",  # a report means that it was given up
    "5.1.0 - Unknown address error 550-'no such user'",
    "Nie ma takiego użytkownika",
    "Konto nieaktywne",
    "Користувача не знайдено",
    "Пользователь не найден",
    "Der Empfänger ist nicht bekannt",
    "Ce destinataire est introuvable",
    "casella inesistente",
    "El buzón no existe",
    "De gebruiker bestaat niet",
    "このユーザーは存在しません",
    "用户不存在",
]
FOR_NOW = [
    "550 5.1.1 mailbox full",
    "550 user is over quota (#5.1.1)",
    "550 5.1.1 the mailbox of this user has exceeded its disk space limit",
    "552 Boite du destinataire pleine",
    "Skrzynka jest pełna",
    "Скринька переповнена",
    "Postfach voll",
    "452 insufficient system storage",
    "user has too many messages on the server",
    "450 4.2.1 mailbox temporarily unavailable, user unknown for now, try again later",
    "451 greylisted",
    "550 5.1.1 max message size exceeded",
    "connection refused",
    "retry timeout exceeded",
    "554 5.4.6 mail loop",
    "550 User currently suspended",
    "Host not found, try again",
    "5.0.0",
    "",
]
ABOUT_US = [
    "550 5.1.1 rejected as spam",
    "553 5.1.1 Sender Policy Framework (SPF) fail",
    "554 Client host [192.0.2.1] blocked using zen.spamhaus.org",
    "550 5.7.1 Unable to relay for anna@example.net",
    "550 sender verify failed",
    "550 5.1.8 Domain of sender address does not exist",
    "550 mailbox unavailable: Reject due to policy restrictions",
    "550 5.7.1 <anna@example.net>: Recipient address rejected: Access denied",
    "550 5.7.26 sender is unauthenticated",
    "421 4.7.0 too many connections",
    "550 5.4.5 daily sending quota exceeded",
    "554 delivery not authorized",
    "550 refused by the recipient's filter",
    "グループが存在しないか、投稿する権限がありません",  # not there, or not for us
    "5.1.0 - Unknown address error 550-'rejected by our antispam'",
]


@pytest.mark.parametrize("words", GONE)
def test_who_is_not_there_is_not_there(words):
    assert diagnose("5.0.0", words).kind is ReportKind.HARD


@pytest.mark.parametrize("words", FOR_NOW)
def test_what_may_pass_is_not_taken_for_gone(words):
    assert diagnose("5.0.0", words).kind is ReportKind.SOFT


@pytest.mark.parametrize("words", ABOUT_US)
def test_a_quarrel_with_us_is_never_the_reader_s_fault(words):
    assert diagnose("5.0.0", words).kind is ReportKind.POLICY


@pytest.mark.parametrize(
    "host", ["spamfilter.example.net", "mx.antispam.example", "blocked.example", "user-unknown.example"]
)
def test_the_name_of_a_host_says_nothing(host):
    assert diagnose("5.1.1", f"host {host}[192.0.2.1] said: 550 5.1.1 User unknown").kind is ReportKind.HARD
    assert diagnose("5.0.0", f"host {host}[192.0.2.1] said: 550 failure").kind is ReportKind.SOFT


def test_the_most_telling_code_counts():
    assert best_status("5.0.0", "550 5.1.1 no") == "5.1.1"
    assert best_status("4.4.7", "550 5.7.1 no") == "5.7.1"
    assert best_status("5.1.2 (bad host)", "no code") == "5.1.2"
    assert best_status("", "550 no") == "5.0.0"
    assert best_status("", "host 192.0.2.1 and 10.5.1.1 said no, port 550") == ""


def test_words_without_a_verdict_say_so():
    assert not diagnose("5.1.1", "words").told
    assert diagnose("5.1.1", "words").kind is ReportKind.HARD  # the code alone
    assert diagnose("", "user unknown").told


def test_only_the_beginning_of_endless_words_is_read():
    assert not diagnose("5.0.0", "x " * MAX_CHARACTERS + "user unknown").told


def test_accents_and_signs_do_not_matter():
    assert fold("Pełna  Skrzynka’s ПОЧТОВЫЙ") == "pelna skrzynka's почтовыи"
