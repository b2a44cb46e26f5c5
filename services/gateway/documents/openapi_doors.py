"""The routes of the edge that are no operation of a service, or are not asked with a token, as OpenAPI has them."""

from __future__ import annotations

from typing import Any, Protocol

from libs.common.contracts.gateway.federation import PATH as LOGIN_PATH
from libs.common.contracts.gateway.logins import PATH as LOGINS_PATH
from libs.common.contracts.gateway.logins import RENEW_PATH
from libs.common.contracts.gateway.passwords import SET_PATH
from libs.common.contracts.gateway.passwords import SIGN_IN_PATH as PASSWORD_PATH
from libs.common.contracts.gateway.sessions import PATH as SESSIONS_PATH
from libs.common.contracts.gateway.sign_in import CALLBACK_PATH, LOGOUT_PATH, SIGN_OUT_PATH, SIGNED_OUT_PATH
from libs.common.contracts.gateway.sign_in import PATH as SIGN_IN_PATH
from libs.common.problems import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
)
from services.gateway.documents.openapi_parts import header, problems
from services.gateway.doors.deliveries import PATH as WEBHOOK_PATH

_WEBHOOK_ID = {"name": "webhook_id", "in": "path", "required": True, "schema": {"type": "string"}}


class Schemas(Protocol):
    """Where the schemas of what is sent and answered are."""

    def sent(self, key: str) -> dict[str, Any]: ...

    def result(self, key: str) -> dict[str, Any]: ...


def doors(schemas: Schemas) -> dict[str, Any]:
    """The paths."""
    return {
        WEBHOOK_PATH: {"post": _delivers(schemas)},
        LOGIN_PATH: {"post": _logs_in(schemas)},
        SESSIONS_PATH: {"post": _opens_session(schemas)},
        PASSWORD_PATH: {"get": _offers(), "post": _signs_in_by_password(schemas)},
        SET_PATH: {"post": _chooses_password(schemas)},
        LOGINS_PATH: {"post": _opens_login(schemas)},
        RENEW_PATH: {"post": _renews_login(schemas)},
        SIGN_IN_PATH: {"get": _signs_in("begin", "A person is sent to the provider, to sign in there", "next")},
        CALLBACK_PATH: {"get": _signs_in("finish", "Back from the provider", "code", "state", "iss", "error")},
        LOGOUT_PATH: {"post": _signs_out()},
        SIGN_OUT_PATH: {"post": _leaves()},
        SIGNED_OUT_PATH: {"get": _signs_in("left", "Back from the provider after a sign-out", "state")},
    }


def _offers() -> dict[str, Any]:
    name = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    found = {"type": "object", "required": ["providers"], "properties": {"providers": {"type": "array", "items": name}}}
    return {
        "operationId": "sign_in.offer",
        "summary": "The names of the providers by which people sign in here",
        "tags": ["gateway"],
        "x-headgate-permission": "none: who signs in has none yet",
        "security": [],
        "parameters": [],
        "responses": {
            "200": {"description": "Their names", "content": {"application/json": {"schema": found}}},
            **problems(Invalid, TooMany, Unavailable),
        },
    }


def _signs_in(name: str, summary: str, *fields: str) -> dict[str, Any]:
    asked = [{"name": one, "in": "query", "required": False, "schema": {"type": "string"}} for one in fields]
    provider = {"name": "provider", "in": "path", "required": True, "schema": {"type": "string"}}
    headers = {one: {"schema": {"type": "string"}} for one in ("Location", "Set-Cookie")}
    return {
        "operationId": f"sign_in.{name}",
        "summary": summary,
        "tags": ["gateway"],
        "x-headgate-permission": "none: who signs in has none yet",
        "security": [],
        "parameters": [provider, *asked],
        "responses": {
            "302" if name == "begin" else "303": {"description": "On to there", "headers": headers},
            **problems(Unauthorized, Forbidden, NotFound, Invalid, Conflict, TooMany, Unavailable),
        },
    }


def _signs_in_by_password(schemas: Schemas) -> dict[str, Any]:
    return {
        **_opens_session(schemas),
        "operationId": "passwords.sign_in",
        "summary": "A person signs in with name and password, and gets a session of the browser",
        "x-headgate-permission": "a password",
        "security": [],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schemas.sent("password")}}},
    }


def _chooses_password(schemas: Schemas) -> dict[str, Any]:
    content = {"application/json": {"schema": schemas.result("password")}}
    return {
        "operationId": "passwords.choose",
        "summary": "A person chooses a password, with a code that an administrator handed over; all their sessions end",
        "tags": ["gateway"],
        "x-headgate-permission": "a code",
        "security": [],
        "parameters": [],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schemas.sent("code")}}},
        "responses": {
            "200": {"description": "Since when the password is good", "content": content},
            "202": {"description": "Stored; the password is good in a moment"},
            **problems(Unauthorized, Refusal, Invalid, TooLarge, TooMany, Unavailable),
        },
    }


def _signs_out() -> dict[str, Any]:
    form = {"type": "object", "required": ["logout_token"], "properties": {"logout_token": {"type": "string"}}}
    return {
        "operationId": "sign_in.leave",
        "summary": "A provider says that a person has left it (OpenID Connect Back-Channel Logout 1.0)",
        "tags": ["gateway"],
        "x-headgate-permission": "a logout token that the provider signed",
        "security": [],
        "parameters": [{"name": "provider", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": form}}},
        "responses": {
            "200": {"description": "The sessions that it opened have ended"},
            **problems(Refusal, Unauthorized, NotFound, Invalid, TooLarge, TooMany, Unavailable),
        },
    }


def _leaves() -> dict[str, Any]:
    found = {
        "type": "object",
        "required": ["session_id", "provider_sign_out"],
        "properties": {"session_id": {"type": "integer"}, "provider_sign_out": {"type": ["string", "null"]}},
    }
    return {
        "operationId": "sign_out.leave",
        "summary": "The session that you come with ends; where the browser goes to leave the provider, too",
        "tags": ["gateway"],
        "x-headgate-permission": "me:write",
        "parameters": [{"name": "next", "in": "query", "required": False, "schema": {"type": "string"}}],
        "responses": {
            "200": {"description": "It has ended", "content": {"application/json": {"schema": found}}},
            "202": {"description": "Stored; it ends in a moment"},
            **problems(Unauthorized, Forbidden, Conflict, Invalid, TooLarge, TooMany, Unavailable),
        },
    }


def _opens_session(schemas: Schemas) -> dict[str, Any]:
    content = {"application/json": {"schema": schemas.result("session")}}
    cookie = {"Set-Cookie": {"schema": {"type": "string"}, "description": "The session, for the browser alone"}}
    return {
        "operationId": "sessions.open",
        "summary": "A person's token is exchanged for a session of the browser, which a cookie holds",
        "tags": ["gateway"],
        "x-headgate-permission": "me:write",
        "parameters": [],
        "responses": {
            "201": {"description": "The session", "headers": cookie, "content": content},
            "202": {"description": "Stored; the session works in a moment", "headers": cookie},
            **problems(Unauthorized, Forbidden, Refusal, Invalid, Conflict, TooLarge, TooMany, Unavailable),
        },
    }


def _opens_login(schemas: Schemas) -> dict[str, Any]:
    content = {"application/json": {"schema": schemas.result("program")}}
    return {
        "operationId": "logins.open",
        "summary": "A person's program is signed in: a token of minutes, and a secret that renews it, shown once",
        "tags": ["gateway"],
        "x-headgate-permission": "me:write",
        "parameters": [],
        "responses": {
            "201": {"description": "The login", "content": content},
            "202": {"description": "Stored; the login works in a moment"},
            **problems(Unauthorized, Forbidden, Refusal, Invalid, Conflict, TooLarge, TooMany, Unavailable),
        },
    }


def _renews_login(schemas: Schemas) -> dict[str, Any]:
    sent = {"application/json": {"schema": schemas.sent("renewal")}}
    content = {"application/json": {"schema": schemas.result("program")}}
    return {
        "operationId": "logins.renew",
        "summary": "The next token of a login; the secret counts once, and whoever comes with it later ends the login",
        "tags": ["gateway"],
        "x-headgate-permission": "the secret that renews the login",
        "security": [],
        "parameters": [],
        "requestBody": {"required": True, "content": sent},
        "responses": {
            "200": {"description": "The token", "content": content},
            "202": {"description": "Stored; the token works in a moment"},
            **problems(Unauthorized, Refusal, Invalid, Conflict, TooLarge, TooMany, Unavailable),
        },
    }


def _logs_in(schemas: Schemas) -> dict[str, Any]:
    token = {"application/json": {"schema": schemas.result("login")}}
    return {
        "operationId": "federation.login",
        "summary": "A job shows the identity token of its CI system and gets a token for minutes, shown once",
        "tags": ["gateway"],
        "x-headgate-permission": "an identity token",
        "security": [],
        "parameters": [],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schemas.sent("login")}}},
        "responses": {
            "200": {"description": "The token", "content": token},
            "202": {"description": "Stored; the token works in a moment"},
            **problems(Unauthorized, Forbidden, Refusal, Invalid, Conflict, TooLarge, TooMany, Unavailable),
        },
    }


def _delivers(schemas: Schemas) -> dict[str, Any]:
    names = ("X-Hub-Signature-256", "X-GitHub-Event", "X-GitHub-Delivery", "X-Gitlab-Token", "X-Gitlab-Event")
    content = {"application/json": {"schema": schemas.result("delivery")}}
    return {
        "operationId": "webhooks.deliver",
        "summary": "What GitHub or GitLab delivers; signed with the webhook's secret instead of a token",
        "tags": ["gateway"],
        "x-headgate-permission": "the webhook's secret",
        "security": [],
        "parameters": [_WEBHOOK_ID, *(header(name, "As the sender sets it", {"type": "string"}) for name in names)],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "A signal was recorded, or it is said why not", "content": content},
            "202": {"description": "Stored; it will be applied once"},
            **problems(Unauthorized, Refusal, Invalid, TooLarge, TooMany, Unavailable),
        },
    }
