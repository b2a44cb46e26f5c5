-- One webhook of Alertmanager may tell of many subjects: those that its sender has told of before.
CREATE INDEX report_heads_sender ON report_heads (site, kind, sender) WHERE voice = '';
