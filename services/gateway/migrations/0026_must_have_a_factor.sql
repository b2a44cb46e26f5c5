-- Who must have a second factor: since when they know, and what their provider said of how they came in.

ALTER TABLE sessions ADD COLUMN amr text[], ADD COLUMN acr text;

CREATE TABLE second_factor_due (
    username text        PRIMARY KEY REFERENCES users,
    -- From here on the hours of grace count; it stays while the policy asks for one, so that nobody gets them anew.
    since    timestamptz NOT NULL
);

GRANT SELECT, INSERT, DELETE ON second_factor_due TO headgate_gateway;
