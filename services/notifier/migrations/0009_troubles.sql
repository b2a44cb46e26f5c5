-- When each trouble that a channel of PagerDuty was told of had ended, by the event that said so: what is older opens no
-- incident any more, in whatever order deliveries go out. Rows of the last 31 days, as long as deliveries may wait.
CREATE TABLE trouble_end (
    channel_id bigint NOT NULL REFERENCES channel,
    dedup_key text NOT NULL,
    ended_at timestamptz NOT NULL,
    PRIMARY KEY (channel_id, dedup_key)
);
CREATE INDEX trouble_end_age ON trouble_end (channel_id, ended_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON trouble_end TO headgate_notifier;
