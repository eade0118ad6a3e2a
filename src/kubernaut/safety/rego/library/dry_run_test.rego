package kubernaut.library.dry_run_test

import data.kubernaut.library.dry_run

drain(target) := {"action": {"type": "kubernetes/drain_node"}, "target": target}

test_risky_actions_are_tried_first if count(dry_run.require_dry_run) == 1 with input as drain({})

test_unless_that_was_done if {
	count(dry_run.require_dry_run) == 0 with input as drain({"labels": {"kubernaut.ai/dry-run-status": "success"}})
	count(dry_run.require_dry_run) == 1 with input as drain({"labels": {"kubernaut.ai/dry-run-status": "failed"}})
	count(dry_run.require_dry_run) == 0 with input as drain({}) with input.action.dryRun as true
}

test_globs_name_risky_actions_too if {
	count(dry_run.require_dry_run) == 1 with input as {"action": {"type": "kubernetes/delete_service"}}
	count(dry_run.require_dry_run) == 0 with input as {"action": {"type": "kubernetes/restart_pod"}}
}
