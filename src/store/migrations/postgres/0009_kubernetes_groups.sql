-- The Kubernetes groups that grants carry, as a sorted JSON list; NULL: none.
ALTER TABLE grants ADD COLUMN kubernetes_groups TEXT;
ALTER TABLE foreign_grants ADD COLUMN kubernetes_groups TEXT;
