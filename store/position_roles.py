"""What a position is in its prompt, so that prompts of different words line up.

A position has one role for each target, the first of these that holds:

    target          the position whose prediction is traced
    {place}         in the text that a template's slot was filled with; `{name} 2` where
                    the slot comes for the second time
    first token     position 0: the start token, where there is one
    -1, -2, ...     so many tokens before the target, as far as BEFORE
    sentence end    a token that ends in . ! or ?, quotes and brackets aside
    other           all that is left

A dataset names its slots by what `prompts.metadata` says of a prompt: a `template`,
such as `{a} and {b} went to the {place}`, and under its name what each slot was filled
with.
The prompt's text has to be the filled template, but for the case of its first letter;
else the prompt has no slots. Slots are used where all prompts are of one dataset, for
two may mean different things by one name, and where a tenth of the prompts have them.
"""

BEFORE = 4
"""How many positions before the target have a role of their own."""

LEAST_SHARE = 0.1
"""Of the prompts: a slot that fewer have is no role."""

SLOTS = f"""
    templates AS (
        SELECT prompt_id, text, slots, flatten(list_transform(
            list_zip(string_split_regex(template, '\\{{\\w+\\}}'), fillings),
            lambda pair: [pair[1], pair[2]]
        )) AS parts
        FROM (
            SELECT prompt_id, text, template,
                   regexp_extract_all(template, '\\{{(\\w+)\\}}', 1) AS slots,
                   list_transform(slots, lambda slot: coalesce(
                       json_extract_string(metadata, '$."' || slot || '"'), ''
                   )) AS fillings
            FROM (SELECT *, metadata->>'$.template' AS template FROM cohort)
            WHERE template IS NOT NULL
        )
        WHERE lower(array_to_string(parts, '')[1]) = lower(text[1])
          AND array_to_string(parts, '')[2:] = text[2:]
    ),
    filled AS (
        SELECT prompt_id, i, parts[2 * i] AS filling,
               length(array_to_string(parts[:2 * i - 1], '')) AS before,
               '{{' || slots[i] || '}}' AS slot,
               len(list_filter(slots[:i], lambda other: other = slots[i])) AS nth
        FROM (SELECT *, unnest(range(1, len(slots) + 1)) AS i FROM templates)
    ),
    slots AS (
        SELECT prompt_id, CASE nth WHEN 1 THEN slot ELSE slot || ' ' || nth END AS slot,
               before + length(filling) - length(ltrim(filling)) AS char_start,
               before + length(rtrim(filling)) AS char_end
        FROM filled
    ),
    named AS (
        SELECT slot FROM slots GROUP BY slot
        HAVING (SELECT count(DISTINCT dataset) FROM cohort) = 1
           AND count(DISTINCT prompt_id)
               >= {LEAST_SHARE} * (SELECT count(*) FROM cohort)
    )
"""
"""From `cohort` (rows of `prompts`): which characters of a text a slot was filled with,
white space around them aside, and which slots are roles."""

PLACES = r"""
    spans AS (
        SELECT prompt_id, position, token,
               arg_min(slot, slots.char_start) AS slot
        FROM {tokens} AS tokens
        SEMI JOIN cohort USING (prompt_id)
        LEFT JOIN (FROM slots SEMI JOIN named USING (slot)) AS slots
          ON slots.prompt_id = tokens.prompt_id
         AND tokens.char_start < slots.char_end AND tokens.char_end > slots.char_start
        GROUP BY ALL
    ),
    places AS MATERIALIZED (
        SELECT prompt_id, position, token,
               CASE WHEN slot IS NOT NULL THEN slot
                    WHEN position = 0 THEN 'first token' END AS role,
               CASE WHEN regexp_matches(token, '[.!?]["''\x{201D}\x{2019})\]]*\s*$')
                    THEN 'sentence end' ELSE 'other' END AS otherwise
        FROM spans
    )
"""
"""From `tokens`: what each position is whatever the target, and what it is if nothing
else holds."""


def role(of: str) -> str:
    """SQL for the role, at `target`, of a row of `places` that is called `of`.

    A role of a position near the target is a number, `-1` to `-4`.
    """
    return f"""
        CASE WHEN {of}.position = target THEN 'target'
             WHEN {of}.role IS NOT NULL THEN {of}.role
             WHEN target - {of}.position <= {BEFORE}
             THEN ({of}.position - target)::VARCHAR
             ELSE {of}.otherwise END
    """
