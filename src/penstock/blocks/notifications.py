"""Blocks that send messages: to chat rooms, pagers, telephones and by mail.

What each of them sends is in `penstock.blocks.messages`, which the server uses as well.
"""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from typing import Any, Literal

from pydantic import AnyHttpUrl, Field, SecretStr

from penstock.base.dual import in_async_context
from penstock.base.outgoing import AddressRefused, CallFailed, send
from penstock.blocks.abstract import NotificationBlock, NotificationError
from penstock.blocks.messages import BlockUnsuited, Mail, messages

PREFECT_NOTIFY_TYPE_DEFAULT = "info"
NotifyType = Literal["info", "success", "warning", "failure"]


class _Sending(NotificationBlock):
    def notify(self, body: str, subject: str | None = None) -> Any:
        """Send a message; a coroutine in an async context.

        A failure is logged, and raised as `NotificationError` within `raise_on_failure`.
        """
        if in_async_context():
            return self.anotify(body, subject)
        self._notify(body, subject)
        return None

    async def anotify(self, body: str, subject: str | None = None) -> None:
        await asyncio.to_thread(self._notify, body, subject)

    def _notify(self, body: str, subject: str | None) -> None:
        try:
            self._send(body, subject)
        except (AddressRefused, BlockUnsuited, CallFailed, smtplib.SMTPException) as error:
            if self._raises:
                raise NotificationError(str(error)) from error
            self.logger.error("a message could not be sent: %s", error)

    def _send(self, body: str, subject: str | None) -> None:
        private = getattr(self, "allow_private_urls", True)
        for one in messages(self.get_block_type_slug(), self._document_data(), subject, body):
            if isinstance(one, Mail):
                _mail(one)
                continue
            answer = send(one, allow_private=private, seconds=getattr(self, "timeout", 30.0))
            if answer.status >= 300:
                raise CallFailed(f"the receiver answered with status {answer.status}")


def _mail(mail: Mail) -> None:
    message = EmailMessage()
    message["From"], message["To"] = mail.sender, ", ".join(mail.recipients)
    message["Subject"] = " ".join(mail.subject.split())
    message.set_content(mail.body)
    kind = smtplib.SMTP_SSL if mail.encryption == "tls" else smtplib.SMTP
    try:
        with kind(mail.host, mail.port, timeout=30) as server:
            if mail.encryption == "starttls":
                server.starttls(context=ssl.create_default_context())
            if mail.username:
                server.login(mail.username, mail.password or "")
            server.send_message(message)
    except OSError as error:
        raise CallFailed(f"{type(error).__name__}: {error}") from error


class AbstractAppriseNotificationBlock(_Sending):
    """A block whose messages have a kind."""

    notify_type: NotifyType = "info"


class AppriseNotificationBlock(AbstractAppriseNotificationBlock):
    """Messages as JSON to an address."""

    url: SecretStr
    allow_private_urls: bool = True


class SlackWebhook(AppriseNotificationBlock):
    """Messages to a Slack channel through an incoming webhook."""

    _block_type_name = "Slack Webhook"


class MicrosoftTeamsWebhook(AppriseNotificationBlock):
    """Messages to a channel of Microsoft Teams through a workflow webhook."""

    _block_type_name = "Microsoft Teams Webhook"
    _block_type_slug = "ms-teams-webhook"

    include_image: bool = True
    wrap: bool = True


class PagerDutyWebHook(AbstractAppriseNotificationBlock):
    """Incidents in PagerDuty."""

    _block_type_name = "Pager Duty Webhook"
    _block_type_slug = "pager-duty-webhook"

    integration_key: SecretStr
    api_key: SecretStr
    source: str | None = "Prefect"
    component: str = "Notification"
    group: str | None = None
    class_id: str | None = None
    region_name: Literal["us", "eu"] = "us"
    clickable_url: AnyHttpUrl | None = None
    include_image: bool = True
    custom_details: dict[str, str] | None = None


class TwilioSMS(AbstractAppriseNotificationBlock):
    """Text messages to telephones through Twilio."""

    _block_type_name = "Twilio SMS"
    _block_type_slug = "twilio-sms"

    account_sid: str
    auth_token: SecretStr
    from_phone_number: str
    to_phone_numbers: list[str]


class OpsgenieWebhook(AbstractAppriseNotificationBlock):
    """Alerts in Opsgenie."""

    _block_type_name = "Opsgenie Webhook"
    _block_type_slug = "opsgenie-webhook"

    apikey: SecretStr
    target_user: list[str] | None = None
    target_team: list[str] | None = None
    target_schedule: list[str] | None = None
    target_escalation: list[str] | None = None
    region_name: Literal["us", "eu"] = "us"
    batch: bool = False
    tags: list[str] | None = None
    priority: int | None = 3
    alias: str | None = None
    entity: str | None = None
    details: dict[str, str] | None = None


class MattermostWebhook(AbstractAppriseNotificationBlock):
    """Messages to channels of a Mattermost server."""

    _block_type_name = "Mattermost Webhook"
    _block_type_slug = "mattermost-webhook"

    hostname: str
    secure: bool = False
    token: SecretStr
    botname: str | None = None
    channels: list[str] | None = None
    include_image: bool = False
    path: str | None = None
    port: int = 8065


class DiscordWebhook(AbstractAppriseNotificationBlock):
    """Messages to a Discord channel."""

    _block_type_name = "Discord Webhook"
    _block_type_slug = "discord-webhook"

    webhook_id: SecretStr
    webhook_token: SecretStr
    botname: str | None = None
    tts: bool = False
    include_image: bool = False
    avatar: bool = False
    avatar_url: str | None = None


class SendgridEmail(AbstractAppriseNotificationBlock):
    """E-mails sent through SendGrid."""

    _block_type_name = "Sendgrid Email"
    _block_type_slug = "sendgrid-email"

    api_key: SecretStr
    sender_email: str
    to_emails: list[str]


class SmtpEmail(AbstractAppriseNotificationBlock):
    """E-mails sent through a mail server of your own."""

    _block_type_name = "SMTP Email"
    _block_type_slug = "smtp-email"

    host: str
    port: int | None = None
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    sender: str
    recipients: list[str]


class CustomWebhookNotificationBlock(_Sending):
    """A message sent to any HTTP address in a form of your own.

    `{{subject}}`, `{{body}}`, `{{name}}` and the names of secrets are filled in everywhere.
    """

    _block_type_name = "Custom Webhook"

    name: str
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    params: dict[str, str] | None = None
    json_data: dict[str, Any] | None = None
    form_data: dict[str, str] | str | None = None
    headers: dict[str, str] | None = None
    cookies: dict[str, str] | None = None
    timeout: float = 10
    allow_private_urls: bool = True
    secrets: dict[str, SecretStr] = Field(default_factory=dict)
