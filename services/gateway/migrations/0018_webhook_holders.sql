-- Who was shown a webhook's secret last: it works as long as that person does. Null: who made it.
ALTER TABLE webhooks ADD COLUMN secret_by text;
