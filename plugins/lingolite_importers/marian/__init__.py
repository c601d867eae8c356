"""Models in Marian's own files: students of Firefox Translations, and OPUS-MT before it was converted."""
