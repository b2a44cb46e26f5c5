-- A verification of a stored archive that this machine could not make, such as for a full disk: neither valid nor broken.
ALTER TABLE archive_verification
    DROP CONSTRAINT archive_verification_status_check,
    DROP CONSTRAINT archive_verification_check1,
    ADD CONSTRAINT archive_verification_status_check CHECK (status IN ('running', 'valid', 'broken', 'unable')),
    ADD CONSTRAINT archive_verification_problem_check CHECK ((status IN ('broken', 'unable')) = (problem IS NOT NULL));
