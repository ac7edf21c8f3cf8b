-- The questions of a release that went somewhere, of the checks that are gates on the path: facts of its commit and its digests,
-- written when it goes. So what runs is seen to have failed since by one look-up for each, and a new answer finds who runs it.
create table release_question (
  release_id text not null references release (id),
  check_name text not null,
  service text not null,
  question text not null,
  primary key (release_id, check_name, service)
);
create index release_question_by_question on release_question (question);
create index environment_by_current on environment (current_release_id) where removed_at is null;
