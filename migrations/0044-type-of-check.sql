-- What sort of test the check was called when it was asked: unit, smoke and so on. A label; nothing is decided by it.
alter table evidence add column check_type text;
