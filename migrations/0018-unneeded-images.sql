-- Images in a registry that somebody else runs, which nothing needs: such a registry does not tell how old they are.
create table unneeded_image (
  repository text not null,
  digest text not null,
  since timestamptz not null,
  primary key (repository, digest)
);
