-- What people call somebody is kept by the gateway alone, which is asked for it: one place to change it, one to erase it.
ALTER TABLE person DROP COLUMN display_name;
