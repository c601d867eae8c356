"""Is the file what was exported? The answer as a record: figures, what differs, and where. Cheap to import.

Owns the records. The file is compared with the bundle that it was made from, computed with the same arithmetic by the
independent reference (`lingolite_cli.architecture.reference`). Whether the model is good enough is another question,
and `lingolite_cli.evaluation.parity`'s.
"""

from __future__ import annotations

import msgspec

from lingolite_cli.evaluation.parity import LogitParity


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class OperationDifference(_Struct, frozen=True, kw_only=True):
    """A named operation whose values in the file are not those that the bundle's weights give for the same inputs.

    Attributes:
        operation: its name, as `encoder.layers.0.self_attn.q_proj`.
        what: what it computes, in words.
        part: which computation of the artifact, such as the decoder for many rows.
        relative: the difference as a share of the values' root mean square, in the worst column or token.
        times: that in multiples of what rounding explains.
        largest: largest absolute difference of a value.
        rows: which rows of its matrix, or columns of its values, differ; "all" for all.
        positions: at which positions of tokens; "all" for all.
        how: what the difference looks like, such as "1.33 times as large"; empty where nothing fits.
        unseen: operations before it that the engine does not show, so that the difference may be theirs.
    """

    operation: str
    what: str
    part: str
    relative: float
    times: float
    largest: float
    rows: str
    positions: str
    how: str = ""
    unseen: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line for people."""
        where = [f"rows {self.rows}" if self.rows != "all" else "", f"positions {self.positions}"]
        places = [place for place in where if place and not place.endswith(" all")]
        text = f"{self.operation} ({self.what})"
        if places:
            text += f", {', '.join(places)}"
        if self.unseen:
            text += f", or {', '.join(self.unseen)} before it"
        return f"{text}: {self.how or f'off by {self.relative:.2g} of its size'}"


class TokenizerDifference(_Struct, frozen=True, kw_only=True):
    """How the file's tokenizer differs from the bundle's.

    Attributes:
        num_sentences: sentences of the text, sources and references, with other ids.
        num_compared: sentences compared.
        summary: what differs, one line.
        example: a sentence with other ids, if there is one.
    """

    num_sentences: int
    num_compared: int
    summary: str
    example: str = ""


class ExportedComparison(_Struct, frozen=True, kw_only=True):
    """The file against the bundle that it was exported from.

    Attributes:
        bundle: digest of the bundle that the manifest names; None where it names none.
        found: where that bundle was found: `run`, `given`, `cache`; None where it was not.
        arithmetic: how the engine computes, in words; None where it does not say.
        limits: limits by budget that hold unless others are set: what the engine's rounding explains.
        tokenizer: how the tokenizers differ; None where they are the same.
        manifest: what the file's manifest says of the model otherwise than the bundle's, a line each.
        files: what its files beside the weights say otherwise than the bundle, a line each.
        shortlist: how the file's vocabulary shortlist differs from the one that it was exported with; empty where not.
        agreement: share of the file's own target tokens that the reference ranks first too, or so close behind that
            the engine's rounding explains it.
        num_tokens: tokens of that share.
        logits: differences of logits, along the file's own translations; None where the engine gives none.
        explained_kl: mean KL of a token that last bits of float32 explain in this network, computed from the bundle;
            None where `logits` stay within what the engine states for any network, or it states no such error.
        score_difference: mean absolute difference of the log-probability of these tokens, in nats; None where an engine
            gives logits, or neither.
        rounding: the largest difference of an operation, in multiples of what rounding explains; None where the engine
            shows no values.
        num_operations: operations compared.
        operations: those that differ, in the order of computation: the first is the cause.
        not_measured: what could not be measured, and why, a line each.
    """

    bundle: str | None = None
    found: str | None = None
    arithmetic: str | None = None
    limits: dict[str, float] = {}
    tokenizer: TokenizerDifference | None = None
    manifest: list[str] = []
    files: list[str] = []
    shortlist: str = ""
    agreement: float | None = None
    num_tokens: int = 0
    logits: LogitParity | None = None
    explained_kl: float | None = None
    score_difference: float | None = None
    rounding: float | None = None
    num_operations: int = 0
    operations: list[OperationDifference] = []
    not_measured: list[str] = []

    @property
    def is_answered(self) -> bool:
        """Whether anything was compared."""
        return self.agreement is not None or self.logits is not None or self.rounding is not None

    @property
    def num_data_differences(self) -> int | None:
        """Sentences that the tokenizer reads otherwise, entries of the manifest and of files, and the shortlist; None
        where nothing was compared.

        A tokenizer that differs at all counts for one at least.
        """
        if not self.is_answered:
            return None
        others = len(self.manifest) + len(self.files) + bool(self.shortlist)
        return others + (0 if self.tokenizer is None else max(1, self.tokenizer.num_sentences))

    @property
    def located(self) -> str | None:
        """Where the file departs from the bundle, one line; None where nothing was located."""
        if self.tokenizer is not None:
            return f"tokenizer: {self.tokenizer.summary}"
        if self.manifest:
            return f"manifest: {self.manifest[0]}"
        if self.files:
            return f"file: {self.files[0]}"
        if self.operations:
            return self.operations[0].summary
        return f"shortlist: {self.shortlist}" if self.shortlist else None
