-- What people are told: one row per fact, by a key that is the same whoever looks and how often. `about` is what broke (an environment, a
-- branch) and may be fixed later; what is told of the fix names the message that it mends.
create table message (
  -- goes out as `webhook-id` and in `Message-ID`, so that a receiver knows the second try of one it has
  id text primary key,
  project_id text not null references project (id),
  key text not null,
  event_id bigint not null,
  about text,
  turn text check (turn in ('broke', 'fixed')),
  mends text references message (id),
  content jsonb not null,
  at timestamptz not null,
  unique (project_id, key),
  constraint message_turns_about_something check ((about is null) = (turn is null))
);
create index message_about on message (about, event_id) where about is not null;
create index message_by_age on message (at);

-- What of it goes where: `channel` as towpath.yaml calls it, `receiver` an address, or nothing where a channel is one receiver. It is due while
-- `due_at` is set; then it was told, or given up with a problem.
create table delivery (
  message_id text not null references message (id) on delete cascade,
  project_id text not null references project (id),
  channel text not null,
  receiver text not null default '',
  due_at timestamptz,
  tries integer not null default 0,
  -- written before each try: what has this and nothing after it may have been told
  tried_at timestamptz,
  told_at timestamptz,
  given_up_at timestamptz,
  problem jsonb,
  primary key (message_id, channel, receiver)
);
create index delivery_due on delivery (project_id, channel) where due_at is not null;

-- Nothing is sent by a channel before `next_at`, which is also the lease of whoever sends.
create table notify_channel (
  project_id text not null references project (id),
  name text not null,
  next_at timestamptz,
  told_at timestamptz,
  problem jsonb,
  primary key (project_id, name)
);

-- Up to which event was looked at what has to be told; it begins now, for nobody wants to be told the past.
create table message_cursor (event_id bigint not null);
insert into message_cursor select coalesce(max(id), 0) from event;
