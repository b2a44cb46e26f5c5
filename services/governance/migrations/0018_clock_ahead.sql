-- GOs that a clock which ran ahead has decided are looked at again once it is set right.
CREATE INDEX valid_gos_decided ON valid_gos (decided_at);
