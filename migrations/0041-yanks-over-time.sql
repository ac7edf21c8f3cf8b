-- "Would it have been allowed then": what was barred at an instant is read from the events that barred it and lifted it.
create index event_of_yanks on event (id) where kind in ('release.yanked', 'release.unyanked');
