-- Rehearsals that were asked for. One is open until a rehearsal that began later was reported.
CREATE TABLE rehearsal_request (
    request_id   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL,
    trigger      text        NOT NULL,
    requested_by text        NOT NULL,
    answered_by  bigint
);
CREATE INDEX rehearsal_request_open ON rehearsal_request (request_id) WHERE answered_by IS NULL;

GRANT SELECT, INSERT, UPDATE (answered_by) ON rehearsal_request TO headgate_operations;
