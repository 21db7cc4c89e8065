"""The configuration: every mistake at once, the nearest name, secrets from elsewhere."""

from __future__ import annotations

import pytest

from digest.config.reading import read_config
from digest.errors import ConfigurationError

GOOD = """
[site]
name = "The Vistula Post"
url = "https://news.example.com/"
[web]
base_url = "https://recap.example.com"
secret_file = "secret"
[mail]
from = "The Recap <recap@news.example.com>"
[newsletters.weekly]
title = "The Weekly Recap"
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "secret").write_text("s" * 40 + "\n")

    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def problems(path, environ=None):
    with pytest.raises(ConfigurationError) as caught:
        read_config(path, environ or {})
    assert caught.value.exit_code == 2
    return "\n".join(caught.value.problems)


def test_the_defaults_are_what_most_people_want(write):
    config = read_config(write(GOOD), {})
    assert config.site.url == "https://news.example.com"
    assert config.newsletters["weekly"].schedule == "sat 08:00"
    assert config.smtp.effective_security == "none"  # to this very machine
    assert config.web.secret.get_secret_value() == "s" * 40


def test_to_any_other_host_tls_is_required(write):
    config = read_config(write(GOOD + '[smtp]\nhost = "smtp.example.com"\n'), {})
    assert (config.smtp.effective_security, config.smtp.effective_port) == ("starttls", 587)


def test_a_misspelt_key_a_wrong_type_and_a_missing_secret_are_told_in_one_go(write):
    text = GOOD.replace('secret_file = "secret"', "") + '[smtp]\nhots = "x"\nconnections = "many"\nusername = "u"\n'
    said = problems(write(text))
    assert "smtp.hots: there is no such setting; did you mean 'host'?" in said
    assert "smtp.connections" in said
    assert "web.secret: it is missing" in said
    assert "smtp.password" in said


def test_a_misspelt_section_and_a_key_of_a_source_are_told_too(write):
    said = problems(
        write(GOOD + '[newsleters.daily]\ntitle = "x"\n[[sources]]\nname = "a"\nkind = "feed"\nurll = "x"\n')
    )
    assert "newsleters: there is no such setting; did you mean 'newsletters'?" in said
    assert "sources.a.urll: there is no such setting; did you mean 'url'?" in said


def test_a_kind_of_source_that_is_none_names_the_nearest(write):
    said = problems(write(GOOD + '[[sources]]\nname = "log"\nkind = "file"\n'))
    assert said == "sources.log.kind: there is no kind of source 'file'; did you mean 'files'?"


def test_the_environment_overrides_and_is_checked_the_same(write):
    config = read_config(write(GOOD), {"DIGEST_WEB__PORT": "9000", "DIGEST_NEWSLETTERS__WEEKLY__TITLE": "Other"})
    assert config.web.port == 9000
    assert config.newsletters["weekly"].title == "Other"
    assert "smtp.prot" in problems(write(GOOD), {"DIGEST_SMTP__PROT": "25"})


def test_a_secret_may_come_from_a_file_named_in_the_environment(write, tmp_path):
    (tmp_path / "other").write_text("o" * 40)
    config = read_config(write(GOOD.replace("secret_file", "# ")), {"DIGEST_WEB__SECRET_FILE": "other"})
    assert config.web.secret.get_secret_value() == "o" * 40


def test_a_secret_file_that_is_not_there_is_named_once(write):
    said = problems(write(GOOD.replace('"secret"', '"gone"')))
    assert said.count("\n") == 0
    assert "gone" in said


def test_no_secret_is_ever_printed(write):
    said = problems(write(GOOD.replace('secret_file = "secret"', 'secret = "short"')))
    assert "short" not in said.replace("too short", "")
    assert "tooshort" not in str(read_config(write(GOOD), {}).model_dump())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('schedule = "saturday"', "sat 08:00"),
        ('catch_up = "soon"', "12h"),
        ('approval = "maybe"', "approval"),
        ('timezone = "Mars/Olympus"', "Europe/Warsaw"),
        ('catch_up = "999999999999999w"', "5200w"),
        (f'catch_up = "{"9" * 400}d"', "5200w"),
        ('catch_up = "0s"', "write 5m at least"),
        ('[collecting]\nkeep_hours = "41d"', "six weeks (42d)"),
        ('[collecting]\nkeep_hours = "0s"', "six weeks (42d)"),
    ],
)
def test_a_value_that_cannot_be_meant_says_what_could(write, line, said):
    assert said in problems(write(GOOD + line + "\n"))


def test_hours_may_be_kept_for_six_weeks_and_for_a_century(write):
    for length, days in (("42d", 42), ("6w", 42), ("5200w", 36400)):
        config = read_config(write(GOOD + f'[collecting]\nkeep_hours = "{length}"\n'), {})
        assert config.collecting.keep_hours.days == days


def test_a_length_of_time_is_shown_as_it_can_be_typed_again(write):
    for length in ("90m", "1234567s", "1000001m", "123456.5s", "5200w"):
        config = read_config(write(GOOD + f'catch_up = "{length}"\n'), {})
        assert config.model_dump(mode="json")["newsletters"]["weekly"]["catch_up"] == length


def test_what_is_not_toml_or_not_there_is_said_plainly(write, tmp_path):
    assert "cannot be read" in problems(write("[site\n"))
    assert "digest init" in problems(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("prefix", ["m", "/", "//", "", "/m?x", "/m#x", "/a b", "https://m.example.com"])
def test_a_prefix_is_a_path_of_whole_segments(write, prefix):
    text = GOOD.replace("[web]", f'prefixes = ["/pl/", "{prefix}"]\n[web]', 1)
    assert "site.prefixes.1" in problems(write(text))


def test_prefixes_are_taken_off_the_sites_pages(write):
    config = read_config(write(GOOD.replace("[web]", 'prefixes = ["/m", "/pl/amp-pages/"]\n[web]', 1)), {})
    assert config.pages.key("/m/a") == config.pages.key("/pl/amp-pages/a/") == "news.example.com/a"


def test_a_campaign_says_what_may_stand_in_braces(write):
    assert "{newsletter}, {number}, {date}" in problems(write(GOOD + '[mail.utm]\ncampaign = "{numbre}"\n'))
    utm = read_config(write(GOOD + '[mail.utm]\ncampaign = "{newsletter}-{number}"\n'), {}).mail.utm
    assert utm.value().campaign == "{newsletter}-{number}"


def test_pictures_lie_beside_the_database(write, tmp_path):
    database = '[database]\nurl = "sqlite:////var/lib/digest/digest.db"\n'
    folders = [read_config(write(GOOD + text), {}).image_folder for text in ("", database)]
    assert [str(each) for each in folders] == [f"{tmp_path}/cache/img", "/var/lib/digest/cache/img"]
    postgresql = '[database]\nurl = "postgresql://digest@db.example.com/digest"\n'
    assert read_config(write(GOOD + postgresql), {}).image_folder == tmp_path / "cache" / "img"


@pytest.mark.parametrize("title", ["The\\tRecap", "The\\nRecap", "The \\u0085 Recap", "Recap " * 20])
def test_a_name_that_no_header_can_hold_is_refused_before_any_mail_is_made(write, title):
    assert "newsletters.weekly.title" in problems(write(GOOD.replace("The Weekly Recap", title)))
    assert "site.name" in problems(write(GOOD.replace("The Vistula Post", title)))
    assert "mail.from" in problems(write(GOOD.replace("The Recap <", f"{title} <")))


@pytest.mark.parametrize("consent", ["I want {titel}.", "I want { it }.", "I want {title.", "I want {0}.", "{title.x}"])
def test_a_consent_that_cannot_be_filled_in_is_refused_before_a_reader_sees_it(write, consent):
    said = problems(write(GOOD + f'[subscribing]\nconsent = "{consent}"\n'))
    assert "subscribing.consent: of braces only {title} and {site}" in said


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://żółw.pl/", "https://xn--w-uga1v8h.pl"),
        ("https://recap.example.com/łódź", "https://recap.example.com/%C5%82%C3%B3d%C5%BA"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://127.0.0.1:8080/a%20b", "http://127.0.0.1:8080/a%20b"),
    ],
)
def test_every_link_begins_in_ascii_as_a_header_needs_it(write, written, read):
    # with letters of another kind in it no message could be written, and every reader would have been given up
    assert read_config(write(GOOD.replace("https://recap.example.com", written)), {}).web.base_url == read


@pytest.mark.parametrize("rest", ["/a b", "/>x", "/'q", "?x=1", "#f", ":99999", "\\nX: y", "\\\\@evil.example"])
def test_an_address_that_would_break_links_is_refused(write, rest):
    assert "web.base_url: write" in problems(write(GOOD.replace("recap.example.com", f"recap.example.com{rest}", 1)))


def test_a_password_in_the_address_of_our_pages_is_refused(write):
    assert "web.base_url: write" in problems(write(GOOD.replace("recap.example.com", "user:pw@recap.example.com", 1)))


@pytest.mark.parametrize("logo", ["https://", "https:///logo.png", "http://x.pl/logo.png", "https://x.pl/a b.png"])
def test_a_logo_that_no_mail_can_show_is_refused(write, logo):
    assert "theme.logo: write an https address" in problems(write(GOOD + f'[theme]\nlogo = "{logo}"\n'))


def test_mail_is_from_one_mailbox(write):
    said = problems(write(GOOD.replace("The Recap <", "The Desk <desk@example.com>, The Recap <")))
    assert "mail.from: write one mailbox" in said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('accent = "#00539"', "write a colour as #rrggbb, such as #00539f (it is '#00539')"),
        ('accent = "red"', "write a colour as #rrggbb"),
        ('serif = "Georgia; color: red"', "write names of fonts with commas between"),
        ('radius = "6px"', "write a number of pixels without quotes and unit: 6"),
        ("radius = 99", "write 40 or less"),
        ('logo = "http://news.example.com/logo.png"', "write an https address"),
        ("accent = 5", 'write text in quotes: "..."'),
    ],
)
def test_a_wrong_look_is_told_in_plain_words(write, line, words):
    said = problems(write(f"{GOOD}[theme]\n{line}\n"))
    assert f"theme.{line.partition(' ')[0]}: {words}" in said


def test_a_short_colour_is_one_too(write):
    assert read_config(write(f'{GOOD}[theme]\naccent = "#fA0"\n'), {}).theme.accent == "#ffAA00"


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "192.168.1.5:81", "laptop", "site.local"])
def test_a_logo_in_ones_own_network_may_be_tried_without_tls(write, host):
    logo = f"http://{host}/logo.png"
    assert read_config(write(f'{GOOD}[theme]\nlogo = "{logo}"\n'), {}).theme.logo == logo


def test_other_wrong_values_are_told_in_plain_words(write):
    text = GOOD.replace("[newsletters.weekly]", '[newsletters.weekly]\nlayout = "picture"\nshow_views = "perhaps"')
    said = problems(write(text + '[smtp]\nconnections = "many"\n'))
    assert 'newsletters.weekly.layout: write "images" or "text" (it is \'picture\')' in said
    assert "newsletters.weekly.show_views: write true or false" in said
    assert "smtp.connections: write a whole number" in said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("editor = Anna", "line 12 cannot be read: editor = Anna\n    Invalid value. Put text in quotes"),
        (
            'title = "again"',
            'line 12 cannot be read: title = "again"\n    Cannot overwrite a value. It stands there twice',
        ),
        ("[site]", "line 12 cannot be read: [site]\n    Cannot declare ('site',) twice. That section is there already"),
    ],
)
def test_a_line_that_cannot_be_read_is_shown_with_the_likeliest_remedy(write, line, words):
    assert words in problems(write(GOOD + line + "\n"))


def test_views_from_a_source_where_there_is_none_asks_for_a_source(write):
    said = problems(write(GOOD + '[newsletters.weekly.selection]\nviews_from = ["log"]\n'))
    assert "config.toml has: none yet: add a [[sources]] section" in said


def test_a_folder_of_templates_must_be_there(write, tmp_path):
    path = write(f'{GOOD}[theme]\ntemplates = "templates"\n')
    assert "theme.templates: there is no folder 'templates'" in problems(path)
    (tmp_path / "templates").mkdir()
    assert read_config(path, {}).theme.templates == "templates"


def test_lengths_of_time_are_shown_as_they_are_typed(write):
    text = GOOD + '[subscribing]\nconfirm_within = "36h"\ncool_down = "0s"\nmin_form_time = "1.5s"\nkeep_ip = "2w"\n'
    config = read_config(write(text), {})
    shown = config.model_dump(mode="json", by_alias=True)["subscribing"]
    assert [shown[name] for name in ("confirm_within", "cool_down", "min_form_time", "keep_ip")] == [
        "36h",
        "0s",
        "1.5s",
        "2w",
    ]
    assert shown["remind_after"] == "1d" and shown["purge_after"] == "30d"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('min_form_time = "2d"', "nobody looks at a form for that long"),
        ('confirm_within = "0s"', "no link could be pressed in time"),
    ],
)
def test_a_form_nobody_could_pass_is_refused(write, line, said):
    assert said in problems(write(GOOD + f"[subscribing]\n{line}\n"))
