-- What keeps that which should not run there any more from being ended, as it was found at the last try: a problem; null when nothing does.
alter table environment add column end_problem jsonb;
