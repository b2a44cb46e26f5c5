-- What a token is bound to beside its sites; null: not bound. It never changes.

ALTER TABLE tokens
    ADD COLUMN permissions text[],
    ADD COLUMN subjects text[],
    ADD COLUMN cidrs text[];
