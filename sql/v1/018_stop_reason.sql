-- Grain: code.
-- Inputs: none.
-- Rules: why a sweep by rounds asks no more, in words: one text wherever it is told. The codes
-- are answers of v1.next_round, and what an executor ends by that would go on with them.

CREATE VIEW v1.stop_reason AS
SELECT *
FROM (
    VALUES
    ('DECIDED', false, 'decided',
        'the smallest quant that passes is proven, or nothing smaller passes'),
    ('BANK_EXHAUSTED', false, 'not proven by all tasks',
        'the smallest that passes has answered all tasks and is not proven'),
    ('CANNOT_BE_PROVEN', false, 'nothing more can be proven by its tasks',
        'these tasks can prove nothing more'),
    ('REFERENCE_PASSES_NONE', false, 'the reference does no task',
        'there is nothing to hold the others against'),
    ('REFERENCE_PASSES_FEW', false, 'the reference does too few tasks',
        'it will hardly do as many tasks as any proof takes'),
    ('BUDGET_ENDED', true, 'undecided when the budget ended',
        'the next block would not have ended in time'),
    ('MACHINE_BUSY', true, 'undecided on a machine that was too busy',
        'of a whole round nothing counted, and not a minute later either')
) AS stops (code, is_open, words, meaning);

COMMENT ON VIEW v1.stop_reason IS 'Why a sweep by rounds asks no more, in words. One row per code.';
COMMENT ON COLUMN v1.stop_reason.code IS 'As in v1.stop';
COMMENT ON COLUMN v1.stop_reason.is_open IS 'More time, or a quieter machine, would tell more';
COMMENT ON COLUMN v1.stop_reason.words IS 'A few words for a table and a sentence';
COMMENT ON COLUMN v1.stop_reason.meaning IS 'What it says';
