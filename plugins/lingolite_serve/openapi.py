"""The OpenAPI document of the server, with what this one translates and refuses."""

from __future__ import annotations

from typing import Any

from lingolite_cli.environment import VERSION
from lingolite_cli.serving.service import TranslationService
from lingolite_serve.options import HttpOptions

_NAMES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "nb": "Norwegian Bokmål",
    "nl": "Dutch",
    "nn": "Norwegian Nynorsk",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "zh": "Chinese",
}


def language_name(code: str) -> str:
    """The English name of a language; its code where this module does not know it."""
    return _NAMES.get(code, code)


def openapi_document(service: TranslationService, options: HttpOptions) -> dict[str, Any]:
    """The document, version 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LingoLite",
            "version": VERSION,
            "description": "Translations by one model, with the requests and answers of LibreTranslate.",
        },
        "paths": {
            "/translate": {"post": _translate(service, options)},
            "/languages": {"get": _get("Languages that are translated", {"type": "array", "items": _LANGUAGE})},
            "/health": {
                "get": {
                    "summary": "Whether requests are accepted",
                    "responses": {
                        "200": _json("They are", {"type": "object", "properties": {"status": {"const": "ok"}}}),
                        "503": _json("The server is ending", {"type": "object"}),
                    },
                }
            },
            "/metrics": {
                "get": {
                    "summary": "Metrics for Prometheus",
                    "responses": {"200": {"description": "Metrics", "content": {"text/plain": {}}}},
                }
            },
        },
        "components": {
            "schemas": {
                "Request": _request_schema(service),
                "Error": {"type": "object", "properties": {"error": {"type": "string"}}},
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}] if options.api_keys else [],
    }


def _request_schema(service: TranslationService) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["q", "source", "target"],
        "properties": {
            "q": {
                "description": f"At most {service.limits.max_characters} characters in all.",
                "oneOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}, "maxItems": service.limits.max_texts},
                ],
            },
            "source": {"type": "string", "examples": [service.pairs[0][0]]},
            "target": {"type": "string", "examples": [service.pairs[0][1]]},
            "format": {"const": "text"},
            "alternatives": {"type": "integer", "minimum": 0, "maximum": service.limits.max_alternatives},
            "api_key": {"type": "string"},
        },
    }


def _translate(service: TranslationService, options: HttpOptions) -> dict[str, Any]:
    request = {"$ref": "#/components/schemas/Request"}
    answer = {
        "type": "object",
        "properties": {
            "translatedText": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "alternatives": {"type": "array"},
            "detectedLanguage": {
                "type": "object",
                "properties": {"language": {"type": "string"}, "confidence": {"type": "number"}},
            },
        },
    }
    refusals = {
        "400": "The request says something that is not translated here",
        "403": "The API key is missing or wrong",
        "408": f"The body did not come within {options.receive_seconds:g} s",
        "413": f"The body is larger than {options.max_body_mb:g} MB, or its texts are too long",
        "415": "The body is of another type",
        "429": f"The client has {options.max_client_requests} requests that are not answered yet",
        "500": "The engine failed",
        "503": "Too many sentences are waiting, or time was over: see Retry-After",
    }
    error = {"$ref": "#/components/schemas/Error"}
    return {
        "summary": "Translate a text, or several",
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": request}
                for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
            },
        },
        "responses": {
            "200": {
                "description": "The translation; with `Accept: text/event-stream`, as it grows",
                "content": {"application/json": {"schema": answer}, "text/event-stream": {}},
            },
            **{status: _json(description, error) for status, description in refusals.items()},
        },
    }


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _get(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _json(summary, schema)}}


_LANGUAGE = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "name": {"type": "string"},
        "targets": {"type": "array", "items": {"type": "string"}},
    },
}
