-- Beside the reason, which is for people: a word for programs (cause.def).
ALTER TABLE instances ADD COLUMN status_cause text;

GRANT UPDATE (status_cause) ON instances TO zaki_instance_manager;
