-- Whose signature beside a report was verified when it came, and by which key or issuer; NULL: none was.
ALTER TABLE signals
    ADD COLUMN signer text,
    ADD COLUMN signer_ref text;

-- All who ever signed what a voice told of a part: what is sent later without a signature does not hide theirs unseen.
ALTER TABLE facts ADD COLUMN signers text[] NOT NULL DEFAULT '{}';

-- Who is trusted now, as the newest version of the site's document `signers` says: the key or issuer, and the signers
-- (LIKE) that it may prove. What is trusted at `global` is so at every site.
CREATE TABLE trusted_signers (
    site text NOT NULL,
    name text NOT NULL,
    ref text NOT NULL,
    signers text[] NOT NULL,
    PRIMARY KEY (site, ref, name)
);

GRANT SELECT, INSERT, DELETE ON trusted_signers TO headgate_governance;
