-- Keys by which statements are signed and verified. One signs; what a retired one signed stays true; nothing that a revoked one
-- signed counts. `held` is what its holder needs to sign with it (closed by a passphrase, never plain), and goes when it is revoked.
create table signing_key (
  hint text primary key,
  holder text not null,
  public_key text not null,
  held text,
  state text not null default 'active' check (state in ('active', 'retired', 'revoked')),
  since timestamptz not null default clock_timestamp(),
  retired_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  revoke_reason text,
  constraint signing_key_states check (
    (state = 'active') = (retired_at is null) and (state = 'revoked') = (revoked_at is not null)
    and (state = 'revoked') = (held is null) and (revoked_at is null) = (revoke_reason is null)
  )
);
create unique index signing_key_active on signing_key ((true)) where state = 'active';
-- What is stated about an image: written with the fact that it states, then signed, then put beside the image.
create table attestation (
  id text primary key,
  number bigint generated always as identity,
  project_id text not null references project (id),
  fact text not null,
  repository text not null,
  digest text not null,
  predicate_type text not null,
  predicate jsonb not null,
  wanted_at timestamptz not null default clock_timestamp(),
  sequence integer,
  statement text,
  key_hint text references signing_key (hint),
  bundle text,
  signed_at timestamptz,
  manifest text,
  delivered_at timestamptz,
  constraint attestation_in_turn check (
    (sequence is null) = (statement is null) and (bundle is null) = (signed_at is null)
    and (bundle is null) = (key_hint is null) and (bundle is null or statement is not null)
    and (delivered_at is null or bundle is not null)
  )
);
create unique index attestation_chain on attestation (repository, digest, sequence);
create index attestation_open on attestation (repository, digest) where delivered_at is null;
create index attestation_key on attestation (key_hint);
create index attestation_fact on attestation (fact);
-- Images that somebody puts statements beside, each for one at a time, and when that is tried next.
create table attested_image (
  repository text not null,
  digest text not null,
  due_at timestamptz not null default clock_timestamp(),
  tries integer not null default 0,
  problem jsonb,
  primary key (repository, digest)
);
