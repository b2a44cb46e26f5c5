-- Who is told by a channel may have nights, digests and words of their own.
ALTER TABLE subscription
    ADD COLUMN template text,
    ADD COLUMN language text,
    ADD COLUMN zone text,
    ADD COLUMN quiet_hours jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN digest_minutes integer NOT NULL DEFAULT 0,
    ADD COLUMN urgent_priorities integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN urgent_event_types text[] NOT NULL DEFAULT '{}';
ALTER TABLE channel ADD COLUMN template text;

-- pace: what a delivery waits for, nothing, the end of quiet hours, or others to be told of in the same message.
ALTER TABLE delivery
    ADD COLUMN pace text NOT NULL DEFAULT 'now' CHECK (pace IN ('now', 'quiet', 'digest')),
    ADD COLUMN note text;

-- The time zone of each site's calendar, as the tracker tells of it.
CREATE TABLE site_zone (
    site text PRIMARY KEY,
    zone text NOT NULL,
    version integer NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON site_zone TO headgate_notifier;
