-- Days on which the score was not known for a while: complete false. known false: at no moment of the day; then the row
-- holds what the gates were told, until something is read.
ALTER TABLE security_day
    ADD COLUMN complete boolean NOT NULL DEFAULT true,
    ADD COLUMN known    boolean NOT NULL DEFAULT true;
