-- The manifests that were built, each with its plan.

SELECT
    manifests.* REPLACE (coalesce(plans.plan, manifests.plan) AS plan)
FROM manifests
LEFT JOIN plans
    ON plans.sweep_id = manifests.sweep_id
