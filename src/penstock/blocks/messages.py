"""What each kind of notification block sends: the HTTP call, or the mail, for a message.

One place for both sides: the blocks in Python send these, and so does the server for actions of
automations. Data of a block is what its document holds, secrets in clear.
"""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from msgspec import Struct

from penstock.base import json
from penstock.base.outgoing import Call

Data = Mapping[str, Any]
_PAGER_SEVERITY = {"info": "info", "success": "info", "warning": "warning", "failure": "critical"}


class Mail(Struct, frozen=True, kw_only=True):
    """A mail and the server that takes it."""

    host: str
    port: int
    encryption: str
    """`starttls`, `tls` or `none`."""
    username: str | None
    password: str | None
    sender: str
    recipients: list[str]
    subject: str
    body: str


class BlockUnsuited(ValueError):
    """A block that cannot send; the text says why."""


def messages(slug: str, data: Data, subject: str | None, body: str) -> list[Call | Mail]:
    """What a block of that type sends. Raises `BlockUnsuited`."""
    make = _KINDS.get(slug)
    if make is None:
        raise BlockUnsuited("The referenced block was not a notification block")
    try:
        made = make(data, subject, body)
    except KeyError as missing:
        raise BlockUnsuited(f"the block has no {missing.args[0]!r}; save it again") from None
    return made if isinstance(made, list) else [made]


def webhook(data: Data, payload: Any) -> Call:
    """The call of a webhook block. A text that is no JSON is sent as it is."""
    if "url" not in data:
        raise BlockUnsuited("The referenced block was not a webhook block")
    headers = {str(name): str(value) for name, value in (data.get("headers") or {}).items()}
    names = {name.lower() for name in headers}
    if payload is None or payload == "":
        body = b""
    elif isinstance(payload, str):
        body = payload.encode()
    else:
        body = json.encode(payload)
    if body and "content-type" not in names:
        headers["Content-Type"] = "application/json"
    return Call(
        url=str(data["url"]),
        method=str(data.get("method") or "POST"),
        headers=headers,
        body=body,
        verify=data.get("verify", True) is not False,
    )


# --- services ------------------------------------------------------------------------------------


def _posted(url: str, document: Any, **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(
        url=url, headers={"Content-Type": "application/json", **named}, body=json.encode(document)
    )


def _titled(subject: str | None, body: str, mark: str) -> str:
    return f"{mark}{subject}{mark}\n{body}" if subject else body


def _slack(data: Data, subject: str | None, body: str) -> Call:
    return _posted(str(data["url"]), {"text": _titled(subject, body, "*")})


def _teams(data: Data, subject: str | None, body: str) -> Call:
    wrap = data.get("wrap", True) is not False
    texts: list[dict[str, Any]] = [{"type": "TextBlock", "text": body, "wrap": wrap}]
    if subject:
        title = {"type": "TextBlock", "text": subject, "wrap": wrap, "weight": "Bolder"}
        texts.insert(0, {**title, "size": "Medium"})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": texts,
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return _posted(str(data["url"]), {"type": "message", "attachments": [attachment]})


def _discord(data: Data, subject: str | None, body: str) -> Call:
    document = {
        "content": _titled(subject, body, "**")[:2000],
        "tts": bool(data.get("tts")),
        **({"username": data["botname"]} if data.get("botname") else {}),
        **({"avatar_url": data["avatar_url"]} if data.get("avatar_url") else {}),
    }
    id, token = quote(str(data["webhook_id"])), quote(str(data["webhook_token"]))
    return _posted(f"https://discord.com/api/webhooks/{id}/{token}", document)


def _pager_duty(data: Data, subject: str | None, body: str) -> Call:
    details = {"body": body, **(data.get("custom_details") or {})}
    payload = {
        "summary": (subject or body)[:1024],
        "severity": _PAGER_SEVERITY.get(str(data.get("notify_type") or "info"), "info"),
        "source": data.get("source") or "Penstock",
        "component": data.get("component") or "Notification",
        "custom_details": details,
        **({"group": data["group"]} if data.get("group") else {}),
        **({"class": data["class_id"]} if data.get("class_id") else {}),
    }
    document: dict[str, Any] = {
        "routing_key": data["integration_key"],
        "event_action": "trigger",
        "payload": payload,
    }
    if data.get("clickable_url"):
        document["client_url"] = str(data["clickable_url"])
    region = "events.eu" if data.get("region_name") == "eu" else "events"
    return _posted(f"https://{region}.pagerduty.com/v2/enqueue", document)


def _mattermost(data: Data, subject: str | None, body: str) -> list[Call | Mail]:
    scheme = "https" if data.get("secure") else "http"
    path = str(data.get("path") or "").strip("/")
    port = int(data.get("port") or 8065)
    address = "/".join(part for part in (f"{data['hostname']}:{port}", path) if part)
    url = f"{scheme}://{address}/hooks/{quote(str(data['token']))}"
    document = {"text": _titled(subject, body, "**"), "username": data.get("botname") or "Penstock"}
    channels = data.get("channels") or [None]
    return [
        _posted(url, document | ({"channel": channel} if channel else {})) for channel in channels
    ]


def _opsgenie(data: Data, subject: str | None, body: str) -> Call:
    kinds = {"user": "username", "team": "name", "schedule": "name", "escalation": "name"}
    responders = [
        {"type": kind, member: name}
        for kind, member in kinds.items()
        for name in data.get(f"target_{kind}") or ()
    ]
    document = {
        "message": (subject or body)[:130],
        "description": body,
        "priority": f"P{data.get('priority') or 3}",
        **({"responders": responders} if responders else {}),
        **{name: data[name] for name in ("alias", "entity", "tags", "details") if data.get(name)},
    }
    host = "api.eu.opsgenie.com" if data.get("region_name") == "eu" else "api.opsgenie.com"
    key = f"GenieKey {data['apikey']}"
    return _posted(f"https://{host}/v2/alerts", document, Authorization=key)


def _twilio(data: Data, subject: str | None, body: str) -> list[Call | Mail]:
    login = f"{data['account_sid']}:{data['auth_token']}".encode()
    headers = {
        "Authorization": f"Basic {base64.b64encode(login).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    sid = quote(str(data["account_sid"]))
    text = f"{subject}\n{body}" if subject else body
    return [
        Call(
            url=f"https://api.twilio.com/2010-04-01/Accounts/{sid}/Messages.json",
            headers=headers,
            body=urlencode(
                {"From": data["from_phone_number"], "To": number, "Body": text}
            ).encode(),
        )
        for number in data["to_phone_numbers"]
    ]


def _sendgrid(data: Data, subject: str | None, body: str) -> Call:
    document = {
        "personalizations": [{"to": [{"email": one} for one in data["to_emails"]]}],
        "from": {"email": data["sender_email"]},
        "subject": subject or "Notification",
        "content": [{"type": "text/plain", "value": body}],
    }
    key = f"Bearer {data['api_key']}"
    return _posted("https://api.sendgrid.com/v3/mail/send", document, Authorization=key)


def _apprise(data: Data, subject: str | None, body: str) -> Call:
    """Addresses of the kind `json://`, and plain ones, get the message as JSON."""
    url = str(data["url"])
    for given, meant in (("json://", "http://"), ("jsons://", "https://")):
        url = meant + url.removeprefix(given) if url.startswith(given) else url
    if not url.startswith(("http://", "https://")):
        raise BlockUnsuited(
            f"addresses of the kind {url.partition(':')[0]}:// are not understood; use the block "
            "for that service, or a custom webhook"
        )
    kind = str(data.get("notify_type") or "info")
    return _posted(url, {"title": subject or "", "message": body, "type": kind})


def _custom(data: Data, subject: str | None, body: str) -> Call:
    values = {**(data.get("secrets") or {})}
    values |= {"subject": subject or "", "body": body, "name": data.get("name") or ""}

    def filled(given: Any) -> Any:
        if isinstance(given, str):
            return _MARK.sub(lambda found: str(values.get(found[1], found[0])), given)
        if isinstance(given, dict):
            return {filled(name): filled(one) for name, one in given.items()}
        if isinstance(given, list):
            return [filled(one) for one in given]
        return given

    headers = {name: str(one) for name, one in (filled(data.get("headers")) or {}).items()}
    body_bytes, kind = b"", None
    if data.get("json_data"):
        body_bytes, kind = json.encode(filled(data["json_data"])), "application/json"
    elif data.get("form_data"):
        form = filled(data["form_data"])
        text = form if isinstance(form, str) else urlencode(form)
        body_bytes, kind = text.encode(), "application/x-www-form-urlencoded"
    if kind is not None and "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = kind
    if data.get("cookies"):
        pairs = filled(data["cookies"]).items()
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in pairs)
    url = str(filled(data["url"]))
    if data.get("params"):
        url += ("&" if "?" in url else "?") + urlencode(filled(data["params"]))
    return Call(url=url, method=str(data.get("method") or "POST"), headers=headers, body=body_bytes)


_MARK = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def _mail(data: Data, subject: str | None, body: str) -> Mail:
    encryption = str(data.get("encryption") or "starttls")
    return Mail(
        host=str(data["host"]),
        port=int(data.get("port") or (465 if encryption == "tls" else 587)),
        encryption=encryption,
        username=data.get("username") or None,
        password=data.get("password") or None,
        sender=str(data["sender"]),
        recipients=[str(one) for one in data["recipients"]],
        subject=subject or "Notification",
        body=body,
    )


_KINDS: dict[str, Callable[[Data, str | None, str], Any]] = {
    "slack-webhook": _slack,
    "ms-teams-webhook": _teams,
    "discord-webhook": _discord,
    "pager-duty-webhook": _pager_duty,
    "mattermost-webhook": _mattermost,
    "opsgenie-webhook": _opsgenie,
    "twilio-sms": _twilio,
    "sendgrid-email": _sendgrid,
    "custom-webhook": _custom,
    "apprisenotificationblock": _apprise,
    "smtp-email": _mail,
}
NOTIFYING = frozenset(_KINDS)
