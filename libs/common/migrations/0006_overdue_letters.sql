-- Every process asks every two seconds which letters have waited for too long; mostly there are none.
CREATE INDEX dead_letters_overdue ON dead_letters (consumer, buried_at) WHERE state = 'waiting';
