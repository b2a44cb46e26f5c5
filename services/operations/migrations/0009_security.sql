-- What people did, counted from the audit log up to an entry, by quarters of an hour, since zones differ by these.
CREATE TABLE conduct_mark (
    only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    seq        bigint      NOT NULL CHECK (seq >= 0),
    behind     bigint      NOT NULL DEFAULT 0,
    counted_at timestamptz
);
INSERT INTO conduct_mark (seq) VALUES (0);

CREATE TABLE conduct (
    began_at        timestamptz NOT NULL,
    site            text        NOT NULL,
    actor           text        NOT NULL,
    action_count    bigint      NOT NULL,
    deed_count      bigint      NOT NULL,
    failed_count    bigint      NOT NULL,
    sensitive_count bigint      NOT NULL,
    PRIMARY KEY (began_at, site, actor)
);
CREATE TABLE refused_request (
    began_at timestamptz NOT NULL,
    who      text        NOT NULL,
    status   smallint    NOT NULL,
    count    bigint      NOT NULL,
    PRIMARY KEY (began_at, who, status)
);
CREATE TABLE sensitive_deed (
    seq     bigint      PRIMARY KEY,
    time    timestamptz NOT NULL,
    site    text        NOT NULL,
    actor   text        NOT NULL,
    action  text        NOT NULL,
    subject text        NOT NULL,
    outcome text        NOT NULL
);
CREATE INDEX sensitive_deed_site ON sensitive_deed (site, seq);
CREATE INDEX sensitive_deed_time ON sensitive_deed (time);

-- What a site's gates were told last; read_at: when all was read last.
CREATE TABLE security_told (
    site    text        PRIMARY KEY,
    score   double precision NOT NULL,
    level   text        NOT NULL,
    zone    text        NOT NULL,
    told_at timestamptz NOT NULL,
    read_at timestamptz NOT NULL
);
-- The worst of each day.
CREATE TABLE security_day (
    site  text             NOT NULL,
    day   date             NOT NULL,
    score double precision NOT NULL,
    level text             NOT NULL,
    PRIMARY KEY (site, day)
);

GRANT SELECT, UPDATE ON conduct_mark TO headgate_operations;
GRANT SELECT, INSERT, UPDATE, DELETE ON conduct, refused_request, security_told, security_day TO headgate_operations;
GRANT SELECT, INSERT, DELETE ON sensitive_deed TO headgate_operations;
