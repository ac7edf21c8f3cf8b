-- Where a target runs in a Kubernetes cluster, as it was last deployed: which cluster by references, and the namespace.
create table cluster_target (
  target text primary key,
  place jsonb not null
);
