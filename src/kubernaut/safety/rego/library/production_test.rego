package kubernaut.library.production_test

import data.kubernaut.library.production

on(action, target) := {"action": action, "target": object.union({"kind": "Deployment", "name": "web", "namespace": "production"}, target)}

scale(replicas) := {"type": "kubernetes/scale_deployment", "inputs": {"replicas": replicas}}

drain := {"type": "kubernetes/drain_node"}

delete := {"type": "kubernetes/delete_pod"}

test_nothing_destructive if count(production.deny) == 1 with input as on(delete, {})

test_a_node_of_a_production_cluster_counts_too if {
	count(production.deny) == 1 with input as {
		"action": drain,
		"target": {"kind": "Node", "name": "worker-1"},
		"cluster": {"environment": "production"},
	}
}

test_an_override_lets_it_through if {
	count(production.deny) == 0 with input as on(delete, {"labels": {"kubernaut.ai/emergency-override": "true"}})
}

test_an_override_of_another_value_does_not if {
	count(production.deny) == 1 with input as on(delete, {"labels": {"kubernaut.ai/emergency-override": "yes"}})
}

test_elsewhere_it_is_not_our_matter if count(production.deny) == 0 with input as on(delete, {"namespace": "dev"})

test_the_namespace_label_makes_production if {
	count(production.deny) == 1 with input as on(delete, {"namespace": "shop"})
		with input.target.namespaceLabels as {"kubernaut.ai/environment": "production"}
}

test_twenty_replicas_and_no_more if {
	count(production.deny) == 0 with input as on(scale(20), {})
	count(production.deny) == 1 with input as on(scale(21), {})
}

test_a_parameter_moves_the_bound if {
	count(production.deny) == 0 with input as on(scale(21), {}) with data.kubernaut.settings.production.max_replicas as 30
}

test_critical_stays_at_three if {
	critical := {"labels": {"critical": "true"}}
	count(production.deny) == 1 with input as on(scale(2), critical)
	count(production.deny) == 0 with input as on(scale(3), critical)
	count(production.require_approval) == 1 with input as on(scale(3), critical)
	count(production.require_approval) == 0 with input as on(object.union(scale(3), {"dryRun": true}), critical)
}

test_images_change_only_where_it_was_approved if {
	action := {"type": "kubernetes/patch_deployment", "inputs": {"patch": {"spec": {"containers": [{"image": "web:2"}]}}}}
	count(production.deny) == 1 with input as on(action, {})
	count(production.deny) == 0 with input as on(action, {"labels": {"kubernaut.ai/image-update-approved": "true"}})
	count(production.deny) == 0 with input as on(object.union(action, {"inputs": {"patch": {"x": 1}}}), {})
		with input.action.inputs.patch as {"x": 1}
	count(production.deny) == 1 with input as on({"type": "x/y", "inputs": {"image": "web:2"}}, {})
}

test_configuration_changes_only_where_it_was_approved if {
	every type in ["kubernetes/update_configmap", "kubernetes/update_secret"] {
		count(production.deny) == 1 with input as on({"type": type}, {})
		count(production.deny) == 0 with input as on({"type": type}, {"annotations": {"kubernaut.ai/config-update-approved": "true"}})
	}
}
