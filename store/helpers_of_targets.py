"""The helper that cohorts are chosen from: targets, with all that is known of each."""

from .helper import Helper

# As `is_delimiter` of the pipeline: Python's strip() knows more spaces than RE2's \s.
_SPACES = r"[\s\x0b\p{Z}]*"
_PUNCTUATION = rf"{_SPACES}\p{{P}}+{_SPACES}|{_SPACES}\n{_SPACES}"
_SPACE_BEFORE, _SPACE_BEHIND = r"^[\s\p{Z}]", r"[\s\p{Z}]$"
_CLOSING = r"""["'\x{201D}\x{2019}\x{BB})\]]"""
_ENDS = rf"[.!?\x{{2026}}]{_CLOSING}*{_SPACES}$"  # …
_ENDS_ANYWHERE = rf"[\x{{3002}}\x{{FF01}}\x{{FF1F}}]{_CLOSING}*{_SPACES}$"  # of CJK


def _matches(column: str, pattern: str, *, full: bool = False) -> str:
    quoted = pattern.replace("'", "''")
    return f"regexp_{'full_match' if full else 'matches'}({column}, '{quoted}')"


_CLOSES = _matches("token", f"{_CLOSING}+", full=True)
_IS_APART = (
    f"({_matches('token', _SPACE_BEHIND)} OR after IS NULL OR after_is_special "
    f"OR {_matches('after', _SPACE_BEFORE)})"
)

COHORT_TARGETS = Helper(
    "cohort_targets",
    "",
    "Every target with its prompt and its token: what a cohort of `Store.compare` is "
    "chosen from, by a condition such as `is_punctuation and dataset = 'facts'` or "
    "`metadata ->> '$.relation' = 'capital'`.",
    ("targets", "prompts", "tokens"),
    {
        "is_first": "the token at the target is at position 0: a start token, if any",
        "is_punctuation": "it is only punctuation, or a newline, as heads.on_delimiter",
        "ends_sentence": "it is the last of a sentence: . ! ? or ... with quotes or "
        "brackets behind, before a space or the end; so is the . of an abbreviation",
        "starts_word": "it is the first of a word",
        "repeats": "the same token occurs earlier in the prompt",
    },
    f"""
    WITH placed AS (
        SELECT *, lead(token) OVER along AS after,
               lead(is_special) OVER along AS after_is_special,
               lag(token) OVER along AS before, lag(word) OVER along AS word_before,
               row_number() OVER (
                   PARTITION BY run_id, prompt_id, token_id ORDER BY position
               ) > 1 AS repeats
        FROM tokens
        WINDOW along AS (PARTITION BY run_id, prompt_id ORDER BY position)
    )
    SELECT t.*, p.* EXCLUDE (run_id, prompt_id),
           k.token_id, token, word, char_start, char_end, is_special, logprob, rank,
           entropy, top_token_id, top_token, top_prob,
           position = 0 AS is_first,
           {_matches("token", _PUNCTUATION, full=True)} AS is_punctuation,
           NOT is_special AND (
               {_matches("token", _ENDS_ANYWHERE)} OR {_IS_APART} AND (
                   {_matches("token", _ENDS)}
                   OR {_CLOSES} AND coalesce({_matches("before", _ENDS)}, false)
               )
           ) AS ends_sentence,
           word IS NOT NULL AND word IS DISTINCT FROM word_before AS starts_word,
           repeats
    FROM targets t
    JOIN prompts p ON p.run_id = t.run_id AND p.prompt_id = t.prompt_id
    JOIN placed k ON k.run_id = t.run_id AND k.prompt_id = t.prompt_id
        AND k.position = t.target
    """,
)
