"""The exports of other programs, in the shapes their own exporters write, with readers we made up."""

from __future__ import annotations

import io
import zipfile

MAILPOET = (
    "\ufeff"
    '"Email","First name","Last name","Subscription IP","Subscription time","Confirmation time","Confirmation IP",'
    '"List status","Global status","List"\n'
    '"anna@example.com","Anna","O\\"Hara","203.0.113.77","2024-03-01 10:00:00","2024-03-01 10:05:00","203.0.113.78",'
    '"subscribed","subscribed","Weekly"\n'
    '"sleepy@example.com","","","","2023-01-01 08:00:00","2023-01-02 08:00:00","","subscribed","inactive","Weekly"\n'
    '"waiting@example.com","","","","2024-04-01 10:00:00","","","subscribed","unconfirmed","Weekly"\n'
    '"gone@example.com","","","","2022-01-01 10:00:00","","","unsubscribed","subscribed","Weekly"\n'
    '"gone-all@example.com","","","","2022-01-01 10:00:00","","","subscribed","unsubscribed","Weekly"\n'
    '"bad@example.com","","","","2022-01-01 10:00:00","","","subscribed","bounced","Weekly"\n'
    '"nolist@example.com","","","","2022-01-01 10:00:00","","","","subscribed","Not In Segment"\n'
    '"\'+48@example.com","\'-Ann","","","2024-03-01 10:00:00","","","subscribed","subscribed","Weekly"\n'
)
_MAILCHIMP = (
    "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LATITUDE,LONGITUDE,"
    "GMTOFF,DSTOFF,TIMEZONE,CC,REGION,"
)
_SPACE = ",,,,,,,"
MAILCHIMP = {
    "subscribed_members_export_abc.csv": _MAILCHIMP
    + "LAST_CHANGED,LEID,EUID,NOTES,TAGS\n"
    + f"anna@example.com, Anna , Nowak ,2,2024-03-01 10:00:00,203.0.113.77,2024-03-01 10:05:00,203.0.113.77{_SPACE},"
    + '2024-05-01 00:00:00,1,aa,,"""VIP"",""Blog"""\n'
    + f"bob@example.com,,,2,,,2018-02-05 19:28:22,{_SPACE},2024-05-01 00:00:00,2,bb,,\n",
    "unsubscribed_members_export_abc.csv": _MAILCHIMP
    + "UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_CAMPAIGN_ID,UNSUB_REASON,UNSUB_REASON_OTHER,LEID,EUID,NOTES,TAGS\n"
    + f"gone@example.com,,,2,2018-02-12 10:54:27,,2018-02-12 10:54:27,{_SPACE},2020-07-23 12:19:27,March,x,,,3,cc,,\n",
    "cleaned_members_export_abc.csv": _MAILCHIMP
    + "CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,LEID,EUID,NOTES,TAGS\n"
    + f"bad@example.com,,,1,2018-02-05 19:28:23,,2018-02-05 19:28:23,{_SPACE},2020-03-23 17:30:05,March,x,4,dd,,\n",
    "nonsubscribed_members_export_abc.csv": _MAILCHIMP
    + "LAST_CHANGED,LEID,EUID,NOTES,TAGS\n"
    + f"shopper@example.com,,,2,,,2018-02-05 19:28:23,{_SPACE},2024-05-01 00:00:00,5,ee,,\n",
}
LISTMONK = (
    "uuid,email,name,attributes,status,created_at,updated_at\n"
    '5b4a,anna@example.com,Anna Nowak,"{""city"": ""Gdynia"", ""n"": 1}",enabled,'
    "2024-03-01 10:00:00.123456 +0000 UTC,2024-03-02 10:00:00 +0000 UTC\n"
    "5b4b,off@example.com,Off,{},disabled,2024-03-01 11:00:00 +0100 CET,2024-03-02 10:00:00 +0000 UTC\n"
    "5b4c,black@example.com,B,{},blocklisted,2024-03-01 10:00:00 +0000 UTC,2024-03-02 10:00:00 +0000 UTC\n"
)
GHOST = (
    "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels,tiers\r\n"
    '1,anna@example.com,Anna Nowak,"met at the fair,\r\nin Gdynia",true,false,,2024-03-01T10:00:00.000Z,,VIP,\r\n'
    "2,gone@example.com,,,false,false,,2024-03-01T10:00:00.000Z,,,\r\n"
    "3,left@example.com,,,true,false,,2024-03-01T10:00:00.000Z,2024-06-01T10:00:00.000Z,,\r\n"
)
SUBSTACK = (
    "email,active_subscription,expiry,plan,email_disabled,created_at,first_payment_at\n"
    "anna@example.com,false,,other,false,2024-03-01T10:00:00.713Z,\n"
    "paid@example.com,true,2118-09-11T12:14:56.557Z,yearly,false,2024-03-01T10:00:00.713Z,2024-03-02T10:00:00.000Z\n"
    "gone@example.com,,,other,true,2024-03-01T10:00:00.713Z,\n"
)
BUTTONDOWN = (
    "email,notes,metadata,tags,referrer_url,creation_date,secondary_id,subscriber_type,source,utm_campaign,utm_medium,"
    "utm_source,ip_address,unsubscription_date,undeliverability_date\n"
    'anna@example.com,,{},"[""vip""]",,2024-03-01T10:00:00.713512Z,1,regular,organic,,,,203.0.113.77,,\n'
    "rich@example.com,,{},,,2024-03-01T10:00:00Z,2,premium,organic,,,,,,\n"
    "waiting@example.com,,{},,,2024-03-01T10:00:00Z,3,unactivated,organic,,,,,,\n"
    "gone@example.com,,{},,,2024-03-01T10:00:00Z,4,unsubscribed,organic,,,,,2024-06-01T10:00:00Z,\n"
    "angry@example.com,,{},,,2024-03-01T10:00:00Z,5,complained,organic,,,,,,\n"
    "bad@example.com,,{},,,2024-03-01T10:00:00Z,6,undeliverable,organic,,,,,,2024-06-01T10:00:00Z\n"
)


def zipped(files: dict[str, str]) -> bytes:
    """Files in an archive, as Mailchimp and Substack send them."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()
